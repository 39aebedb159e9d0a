//! Command substitution (POSIX.1-2024, XCU 2.6.3).

use super::tree::List;
use super::{Flow, Shell, Text};

impl Shell<'_> {
    /// The output of commands, without the newlines at its end and without NUL bytes.
    pub(super) fn substitute(&mut self, list: &List) -> Flow<Text> {
        if list.items.is_empty() {
            self.substituted = Some(0);
            return Ok(Text::new());
        }
        let (mut text, status) = self.capture(|shell| shell.run_list(list, true))?;
        self.substituted = Some(status);
        text.retain(|byte| *byte != 0);
        text.truncate(text.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1));
        Ok(text)
    }
}
