//! Simple commands, function definitions and redirections (POSIX.1-2024, XCU 2.9.1, 2.9.5, 2.7).

use std::rc::Rc;

use super::super::lexer::{Opened, Operator, Parse, Parser, Token};
use super::super::tree::{Command, Descriptor, Kind, Part, Redirect, RedirectKind, Word};
use super::super::word::{assignment, assignment_operand};
use crate::shell::builtins;

/// Commands whose operands may be assignments (POSIX.1-2024, XCU 2.9.1.1: declaration utilities).
const DECLARATIONS: [&[u8]; 6] = [b"alias", b"export", b"readonly", b"local", b"declare", b"typeset"];

/// Which words of a simple command are to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The command's name, or what `command` runs.
    Name,
    Operand,
    /// An operand that may be an assignment.
    Declaration,
}

/// `2>&1`, which `|&` means.
pub(super) fn errors_to_output() -> Redirect {
    let output = Word { parts: vec![Part::Literal(b"1".to_vec())], assignment: false };
    Redirect { fd: Descriptor::Number(2), kind: RedirectKind::Copy { word: output, input: false } }
}

/// What mksh, bash and others let a function be called, beyond a name: nothing that could be a path, a pattern, an
/// assignment or an expansion.
fn is_function_name(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+:,@%!^".contains(byte) || !byte.is_ascii())
}

impl Parser<'_> {
    pub(super) fn simple(&mut self, line: u32) -> Parse<Rc<Command>> {
        let mut assignments = Vec::new();
        let mut words: Vec<Word> = Vec::with_capacity(4);
        let mut redirects = Vec::new();
        let mut next = Next::Name;
        loop {
            if words.is_empty() && !(assignments.is_empty() && redirects.is_empty()) {
                self.expand_aliases(false)?;
            }
            match self.token()? {
                Token::Word(_) => {}
                Token::Operator(Operator::Open) => match words.as_slice() {
                    [name] if assignments.is_empty() && redirects.is_empty() => return self.function(name, line),
                    [] if self.is_array()? => return self.error(line, "arrays are not supported"),
                    _ => break,
                },
                _ => match self.redirect()? {
                    Some(redirect) => {
                        redirects.push(redirect);
                        continue;
                    }
                    None => break,
                },
            }
            let Token::Word(mut word) = self.take()? else { continue };
            if words.is_empty() {
                word = match assignment(word) {
                    Ok(assignment) => {
                        assignments.push(assignment);
                        continue;
                    }
                    Err(word) => word,
                };
            }
            next = match (next, word.plain()) {
                (Next::Name, Some(b"command")) => Next::Name,
                (Next::Name, Some(name)) if DECLARATIONS.contains(&name) => Next::Declaration,
                (Next::Name, _) => Next::Operand,
                (next, _) => next,
            };
            words.push(if next == Next::Declaration { assignment_operand(word) } else { word });
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            let token = self.take()?;
            return self.unexpected(&token);
        }
        Ok(Rc::new(Command { kind: Kind::Simple { assignments, words }, redirects, line }))
    }

    /// Whether the next token, a parenthesis, stands right behind the equals sign of an assignment.
    fn is_array(&mut self) -> Parse<bool> {
        let start = self.token_start()?;
        Ok(start > 0 && self.text[start - 1] == b'=')
    }

    /// Behind the name of what the next parenthesis makes a function.
    fn function(&mut self, word: &Word, line: u32) -> Parse<Rc<Command>> {
        self.take()?;
        self.expect_operator(Operator::Close, Opened { by: "(", line })?;
        let kind = self.function_body(word, line)?;
        Ok(Rc::new(Command { kind, redirects: Vec::new(), line }))
    }

    /// Behind `function`: a name, and parentheses or not.
    pub(super) fn named_function(&mut self, opened: Opened) -> Parse<Kind> {
        let name = self.operand()?;
        if self.take_operator(Operator::Open)? {
            self.expect_operator(Operator::Close, opened)?;
        }
        self.function_body(&name, opened.line)
    }

    fn function_body(&mut self, word: &Word, line: u32) -> Parse<Kind> {
        // A special builtin would be found first (POSIX.1-2024, XCU 2.9.5).
        let free = |name: &&[u8]| is_function_name(name) && !builtins::find(name).is_some_and(|found| found.special);
        let Some(name) = word.plain().filter(free).map(<[u8]>::to_vec) else {
            return self.error(line, "bad function name");
        };
        self.newlines()?;
        let line_of_body = self.line();
        let Some(kind) = self.compound()? else {
            let token = self.take()?;
            return self.unexpected(&token);
        };
        let body = Rc::new(Command { kind, redirects: self.redirects()?, line: line_of_body });
        Ok(Kind::Function { name, body })
    }

    pub(super) fn redirects(&mut self) -> Parse<Vec<Redirect>> {
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(redirects)
    }

    fn redirect(&mut self) -> Parse<Option<Redirect>> {
        let before = match self.token()? {
            Token::Number(_) | Token::Location(_) => Some(self.take()?),
            Token::Operator(_) => None,
            _ => return Ok(None),
        };
        let &Token::Operator(operator) = self.token()? else { return Ok(None) };
        let input = match operator {
            Operator::Less | Operator::LessAnd | Operator::LessGreat => true,
            Operator::Here | Operator::HereTabs | Operator::HereString => true,
            Operator::Great | Operator::GreatAnd | Operator::Append | Operator::Clobber => false,
            Operator::Both | Operator::AppendBoth => false,
            _ => return Ok(None),
        };
        self.take()?;
        let fd = match before {
            Some(Token::Number(number)) => Descriptor::Number(number),
            Some(Token::Location(name)) => Descriptor::Named(name),
            _ => Descriptor::Number(if input { 0 } else { 1 }),
        };
        let kind = match operator {
            Operator::Here => RedirectKind::Here(self.here_document(false)?),
            Operator::HereTabs => RedirectKind::Here(self.here_document(true)?),
            Operator::HereString => RedirectKind::HereString(self.operand()?),
            Operator::Less => RedirectKind::Read(self.operand()?),
            Operator::LessGreat => RedirectKind::ReadWrite(self.operand()?),
            Operator::LessAnd | Operator::GreatAnd => RedirectKind::Copy { word: self.operand()?, input },
            Operator::Append => RedirectKind::Append(self.operand()?),
            Operator::Both => RedirectKind::Both { target: self.operand()?, append: false },
            Operator::AppendBoth => RedirectKind::Both { target: self.operand()?, append: true },
            _ => RedirectKind::Write { target: self.operand()?, clobber: operator == Operator::Clobber },
        };
        Ok(Some(Redirect { fd, kind }))
    }
}
