//! An HTTP server's response. Once it is complete, more bytes do not change it.
#![no_main]

use sidebox::protocol::http::response;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = response(data, false);
    let _ = response(data, true);
    if let Ok(Some(early)) = response(&data[..data.len() / 2], false) {
        assert_eq!(whole, Ok(Some(early)));
    }
});
