//! gzip streams (RFC 1952), of which a file may hold several; what is inside them is miniz_oxide's business (RFC 1951).

use std::io::{self, Read, Write};

use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus, StreamResult};

use super::corrupt;

/// The first bytes of a stream.
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];

const BUFFER: usize = 64 * 1024;

/// The bits of the header's flags.
const CHECKED: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Four tables: a step takes four bytes.
const TABLES: [[u32; 256]; 4] = tables();

const fn tables() -> [[u32; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        tables[0][index] = value;
        index += 1;
    }
    let mut index = 0;
    while index < 256 {
        let mut table = 1;
        while table < 4 {
            let before = tables[table - 1][index];
            tables[table][index] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            table += 1;
        }
        index += 1;
    }
    tables
}

/// Goes on with the CRC-32 of what came before (RFC 1952, section 8), which begins with 0.
fn crc32(before: u32, bytes: &[u8]) -> u32 {
    let mut crc = !before;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let word = crc ^ u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        let [a, b, c, d] = word.to_le_bytes();
        crc = TABLES[3][a as usize] ^ TABLES[2][b as usize] ^ TABLES[1][c as usize] ^ TABLES[0][d as usize];
    }
    for byte in chunks.remainder() {
        crc = crc >> 8 ^ TABLES[0][(crc as u8 ^ byte) as usize];
    }
    !crc
}

/// The large functions of the crate, once for all kinds of readers and writers.
#[inline(never)]
fn unpack(state: &mut InflateState, input: &[u8], out: &mut [u8]) -> StreamResult {
    inflate(state, input, out, MZFlush::None)
}

#[inline(never)]
fn pack(state: &mut CompressorOxide, input: &[u8], out: &mut [u8], flush: MZFlush) -> StreamResult {
    deflate(state, input, out, flush)
}

/// Reads what was packed. All streams one after the other, each checked at its end.
pub struct Decoder<R> {
    input: R,
    buffer: Vec<u8>,
    /// What of the buffer is not used yet.
    from: usize,
    to: usize,
    state: Box<InflateState>,
    stage: Stage,
    crc: u32,
    size: u32,
    /// What follows the last stream is no other one.
    pub garbage: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    First,
    Data,
    Between,
    End,
}

impl<R: Read> Decoder<R> {
    pub fn new(input: R) -> Decoder<R> {
        Decoder {
            input,
            buffer: vec![0; BUFFER],
            from: 0,
            to: 0,
            state: InflateState::new_boxed(DataFormat::Raw),
            stage: Stage::First,
            crc: 0,
            size: 0,
            garbage: false,
        }
    }

    /// Whether there is more input.
    fn more(&mut self) -> io::Result<bool> {
        if self.from == self.to {
            self.from = 0;
            self.to = 0;
            self.to = loop {
                match self.input.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
        }
        Ok(self.from < self.to)
    }

    fn byte(&mut self) -> io::Result<u8> {
        if !self.more()? {
            return Err(truncated());
        }
        let byte = self.buffer[self.from];
        self.from += 1;
        Ok(byte)
    }

    fn pass(&mut self, count: usize) -> io::Result<()> {
        (0..count).try_for_each(|_| self.byte().map(drop))
    }

    fn pass_text(&mut self) -> io::Result<()> {
        while self.byte()? != 0 {}
        Ok(())
    }

    /// The header of a stream; where none begins, the end.
    fn start(&mut self) -> io::Result<Stage> {
        let first = self.stage == Stage::First;
        if !self.more()? {
            return if first { Err(truncated()) } else { Ok(Stage::End) };
        }
        let magic = [self.byte()?, if self.more()? { self.byte()? } else { 0 }];
        if magic != MAGIC {
            if first {
                return Err(corrupt("is not in gzip format"));
            }
            self.garbage = self.rest(magic)?;
            return Ok(Stage::End);
        }
        if self.byte()? != 8 {
            return Err(corrupt("is packed by an unknown method"));
        }
        let flags = self.byte()?;
        if flags & RESERVED != 0 {
            return Err(corrupt("is in an unknown form of gzip"));
        }
        // Time, level and system.
        self.pass(6)?;
        if flags & EXTRA != 0 {
            let length = u16::from_le_bytes([self.byte()?, self.byte()?]);
            self.pass(usize::from(length))?;
        }
        if flags & NAME != 0 {
            self.pass_text()?;
        }
        if flags & COMMENT != 0 {
            self.pass_text()?;
        }
        if flags & CHECKED != 0 {
            self.pass(2)?;
        }
        self.state.reset_as(miniz_oxide::inflate::stream::ZeroReset);
        (self.crc, self.size) = (0, 0);
        Ok(Stage::Data)
    }

    /// Whether behind the last stream there is anything but zeroes, which tapes are filled up with.
    fn rest(&mut self, start: [u8; 2]) -> io::Result<bool> {
        let mut garbage = start != [0; 2];
        while !garbage && self.more()? {
            garbage = self.buffer[self.from..self.to].iter().any(|byte| *byte != 0);
            self.from = self.to;
        }
        Ok(garbage)
    }

    fn check(&mut self) -> io::Result<()> {
        let mut word =
            || Ok::<u32, io::Error>(u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]));
        match (word()?, word()?) == (self.crc, self.size) {
            true => Ok(()),
            false => Err(corrupt("is corrupt: what is unpacked is not what was packed (CRC or length)")),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stage {
                _ if out.is_empty() => return Ok(0),
                Stage::End => return Ok(0),
                Stage::First | Stage::Between => self.stage = self.start()?,
                Stage::Data => {
                    let more = self.more()?;
                    let input = &self.buffer[self.from..self.to];
                    let done = unpack(&mut self.state, input, out);
                    self.from += done.bytes_consumed;
                    let written = out.get(..done.bytes_written).unwrap_or_default();
                    self.crc = crc32(self.crc, written);
                    self.size = self.size.wrapping_add(written.len() as u32);
                    let length = written.len();
                    match done.status {
                        Ok(MZStatus::StreamEnd) => {
                            self.check()?;
                            self.stage = Stage::Between;
                        }
                        Ok(_) => {}
                        // Neither input nor room, which is no error where more will come.
                        Err(MZError::Buf) => {}
                        Err(_) => return Err(corrupt("is corrupt: what is packed cannot be unpacked")),
                    }
                    if length > 0 {
                        return Ok(length);
                    }
                    if !more && self.stage == Stage::Data {
                        return Err(truncated());
                    }
                }
            }
        }
    }
}

fn truncated() -> io::Error {
    corrupt("ends in the middle: what is packed is truncated")
}

/// Packs what is written. Nothing is complete before `finish`.
pub struct Encoder<W> {
    output: W,
    state: Box<CompressorOxide>,
    buffer: Vec<u8>,
    crc: u32,
    size: u32,
    started: bool,
}

impl<W: Write> Encoder<W> {
    /// `level` is 1, fast, to 9, small.
    pub fn new(output: W, level: u8) -> Encoder<W> {
        // A negative window is one without zlib's own frame; strategy 0 is the usual one.
        let flags = create_comp_flags_from_zip_params(i32::from(level), -15, 0);
        let state = Box::new(CompressorOxide::new(flags));
        Encoder { output, state, buffer: vec![0; BUFFER], crc: 0, size: 0, started: false }
    }

    /// Flags, time (none) and the system, Unix.
    fn start(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            self.output.write_all(&[MAGIC[0], MAGIC[1], 8, 0, 0, 0, 0, 0, 0, 3])?;
        }
        Ok(())
    }

    fn pack(&mut self, mut bytes: &[u8], flush: MZFlush) -> io::Result<()> {
        loop {
            let done = pack(&mut self.state, bytes, &mut self.buffer, flush);
            bytes = bytes.get(done.bytes_consumed..).unwrap_or_default();
            self.output.write_all(self.buffer.get(..done.bytes_written).unwrap_or_default())?;
            match done.status {
                Ok(MZStatus::StreamEnd) => return Ok(()),
                _ if flush == MZFlush::None && bytes.is_empty() => return Ok(()),
                Ok(_) | Err(MZError::Buf) => {}
                Err(_) => return Err(io::Error::other("cannot be packed")),
            }
        }
    }

    /// The end of the stream; what was written to is given back.
    pub fn finish(mut self) -> io::Result<W> {
        self.start()?;
        self.pack(&[], MZFlush::Finish)?;
        self.output.write_all(&self.crc.to_le_bytes())?;
        self.output.write_all(&self.size.to_le_bytes())?;
        Ok(self.output)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.start()?;
        self.pack(bytes, MZFlush::None)?;
        self.crc = crc32(self.crc, bytes);
        self.size = self.size.wrapping_add(bytes.len() as u32);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'hello\n' | gzip -n`
    const HELLO: [u8; 26] = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 2, 0, 0x20, 0x30, 0x3a, 0x36, 6, 0, 0,
        0,
    ];

    fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let read = Decoder::new(bytes).read_to_end(&mut out);
        read.map(|_| out).map_err(|error| error.to_string())
    }

    #[test]
    fn checksums() {
        assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(crc32(0, b"12345"), b"6789"), 0xcbf4_3926);
    }

    #[test]
    fn a_stream_of_gzip() {
        assert_eq!(unpacked(&HELLO).unwrap(), b"hello\n");
        assert_eq!(unpacked(&[HELLO, HELLO].concat()).unwrap(), b"hello\nhello\n");
        assert_eq!(unpacked(&[&HELLO[..], &[0; 600]].concat()).unwrap(), b"hello\n");
        let mut decoder = Decoder::new([&HELLO[..], b"x"].concat().leak() as &[u8]);
        decoder.read_to_end(&mut Vec::new()).unwrap();
        assert!(decoder.garbage);
    }

    #[test]
    fn all_fields_of_the_header() {
        let header =
            [&[0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 1, 2, 3, 4, 2, 3][..], &[2, 0, 9, 9], b"name\0", b"comment\0", &[7, 7]];
        assert_eq!(unpacked(&[&header.concat(), &HELLO[10..]].concat()).unwrap(), b"hello\n");
    }

    #[test]
    fn what_is_no_stream_or_a_damaged_one() {
        for length in 0..HELLO.len() {
            assert!(unpacked(&HELLO[..length]).is_err(), "{length}");
        }
        assert_eq!(unpacked(b"hello").unwrap_err(), "is not in gzip format");
        for (at, value, what) in [
            (2, 7, "is packed by an unknown method"),
            (3, 0x80, "is in an unknown form of gzip"),
            (10, 0xff, "is corrupt: what is packed cannot be unpacked"),
            (18, 0, "is corrupt: what is unpacked is not what was packed (CRC or length)"),
            (22, 7, "is corrupt: what is unpacked is not what was packed (CRC or length)"),
        ] {
            let mut damaged = HELLO;
            damaged[at] = value;
            assert_eq!(unpacked(&damaged).unwrap_err(), what, "{at}");
        }
    }

    #[test]
    fn there_and_back() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|number| (number / 64).to_le_bytes()).collect();
        for level in [1, 6, 9] {
            for input in [&b""[..], b"a", &text] {
                let mut encoder = Encoder::new(Vec::new(), level);
                input.chunks(70_001).for_each(|chunk| encoder.write_all(chunk).unwrap());
                let packed = encoder.finish().unwrap();
                assert!(packed.len() < input.len() / 2 + 32, "{level}: {}", packed.len());
                assert!(unpacked(&packed).unwrap() == input);
            }
        }
    }
}
