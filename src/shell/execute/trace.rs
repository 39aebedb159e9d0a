//! `set -x` and `set -v`: what is run and what is read, on standard error (POSIX.1-2024, XCU set).

use std::io::Write;

use super::super::syntax::tree::{Assignment, Part, Word};
use super::super::{Flow, Shell, Text, builtins};

impl Shell<'_> {
    /// `set -x`: shows a command whose words are expanded. Its assignments are expanded for that, and returned as they
    /// were shown, since nothing is expanded twice.
    pub(in crate::shell) fn trace(&mut self, assignments: &[Assignment], args: &[Text]) -> Flow<Vec<Assignment>> {
        self.variables.enter();
        let assigned = self.assign_for_command(assignments);
        let value = |assignment: &Assignment| self.variables.get(&assignment.name).unwrap_or_default().to_vec();
        let values: Vec<Text> = assignments.iter().map(value).collect();
        self.leave_scope();
        assigned?;
        let shown = assignments.iter().zip(&values);
        let show = |value: &Text| if value.is_empty() { Text::new() } else { builtins::readable(value) };
        let shown = shown.map(|(assignment, value)| [&assignment.name[..], b"=", &show(value)].concat());
        let words: Vec<Text> = shown.chain(args.iter().map(|arg| builtins::readable(arg))).collect();
        if !words.is_empty() {
            let prompt = self.trace_prompt()?;
            self.show(&[prompt.as_slice(), &words.join(&b' '), b"\n"].concat());
        }
        let expanded = assignments.iter().zip(values).map(|(assignment, value)| Assignment {
            name: assignment.name.clone(),
            value: Word { parts: vec![Part::Quoted(value)], assignment: false },
        });
        Ok(expanded.collect())
    }

    /// PS4. What it runs is not traced itself, and is nothing that the command asks for.
    fn trace_prompt(&mut self) -> Flow<Text> {
        let prompt = self.variables.get(b"PS4").unwrap_or_default().to_vec();
        let substituted = self.substituted;
        self.options.xtrace = false;
        let result = self.expand_prompt(&prompt);
        self.options.xtrace = true;
        self.substituted = substituted;
        result
    }

    /// Writes to standard error, behind what was written to standard output. What cannot be written is lost.
    pub(in crate::shell) fn show(&mut self, text: &[u8]) {
        let _ = self.io.out.flush();
        let _ = self.io.err.write_all(text);
    }
}
