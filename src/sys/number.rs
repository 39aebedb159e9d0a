//! Floating-point numbers as C reads and writes them: strtod(3) and snprintf(3). Hexadecimal floats, exact decimals of
//! any precision and the flags of `%g` are hundreds of lines elsewhere, and every C library has them right.

use std::ffi::{CString, c_char, c_int};

/// Reads the longest number at the start (after white space) and tells how many bytes it took, which is 0 where there
/// is none.
pub fn read_float(text: &[u8]) -> (f64, usize) {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let Ok(text) = CString::new(text) else { return (0.0, 0) };
    let mut end: *mut c_char = std::ptr::null_mut();
    // SAFETY: the text ends with a NUL, and strtod sets `end` to a place inside of it.
    let (value, taken) = unsafe {
        let value = libc::strtod(text.as_ptr(), &mut end);
        (value, end.offset_from(text.as_ptr()))
    };
    (value, usize::try_from(taken).unwrap_or(0))
}

/// Writes by printf's `conversion`, one of `aAeEfFgG`; `flags` are some of `-+ #0`; a negative precision is none.
pub fn write_float(flags: &[u8], width: c_int, precision: c_int, conversion: u8, value: f64) -> Vec<u8> {
    let mut format = vec![b'%'];
    format.extend(flags.iter().filter(|flag| b"-+ #0".contains(flag)));
    format.extend(b"*.*");
    format.push(if b"aAeEfFgG".contains(&conversion) { conversion } else { b'g' });
    format.push(0);
    let mut buffer = vec![0u8; 512];
    loop {
        // SAFETY: the format takes two ints and a double, and at most the buffer's length is written.
        let length = unsafe {
            let format = format.as_ptr().cast();
            libc::snprintf(buffer.as_mut_ptr().cast(), buffer.len(), format, width, precision, value)
        };
        // A negative length is EOVERFLOW: a width or precision beyond every use.
        let length = usize::try_from(length).unwrap_or(0);
        if length < buffer.len() {
            buffer.truncate(length);
            return buffer;
        }
        buffer.resize(length + 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_c_reads() {
        assert_eq!(read_float(b" 1.5e3x"), (1500.0, 6));
        assert_eq!(read_float(b"0x1p4"), (16.0, 5));
        assert_eq!(read_float(b"x"), (0.0, 0));
        assert_eq!(read_float(b"inf").0, f64::INFINITY);
    }

    #[test]
    fn writes_what_c_writes() {
        let text = |flags: &[u8], width, precision, conversion, value| {
            String::from_utf8(write_float(flags, width, precision, conversion, value)).unwrap()
        };
        assert_eq!(text(b"", 0, -1, b'f', 1.5), "1.500000");
        assert_eq!(text(b"+0", 9, 2, b'e', 1500.0), "+1.50e+03");
        assert_eq!(text(b"#", 0, 3, b'g', 1.0), "1.00");
        assert_eq!(text(b"", 0, 600, b'f', 1.0).len(), 602);
    }
}
