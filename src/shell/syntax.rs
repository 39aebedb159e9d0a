//! From text to a tree: characters to tokens, words and commands (POSIX.1-2024, XCU 2.2 to 2.4, 2.10).

pub mod alias;
mod here;
pub mod lexer;
pub mod parser;
pub mod source;
pub mod tree;
pub mod word;
