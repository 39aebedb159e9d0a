//! What the keys of the report mean: the documentation that `inspect --schema` prints.

/// A key on each line, `[]` behind what is a list, and its meaning. What could not be read is null.
pub const TEXT: &str = include_str!("schema.txt");
