//! What the parser makes of a script and the executor walks.

use std::cell::OnceCell;
use std::rc::Rc;

/// Commands separated by `;`, `&` or newlines.
#[derive(Debug, Default, PartialEq)]
pub struct List {
    pub items: Vec<Item>,
}

/// An and-or list, in the foreground or not.
#[derive(Debug, PartialEq)]
pub struct Item {
    pub first: Pipeline,
    pub rest: Vec<(Connector, Pipeline)>,
    pub background: bool,
    /// How it was written, for the list of jobs.
    pub text: Rc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    /// `&&`
    And,
    /// `||`
    Or,
}

#[derive(Debug, PartialEq)]
pub struct Pipeline {
    pub negated: bool,
    pub commands: Vec<Rc<Command>>,
}

#[derive(Debug, PartialEq)]
pub struct Command {
    pub kind: Kind,
    /// Of a compound command; those of a simple command stand here too.
    pub redirects: Vec<Redirect>,
    pub line: u32,
}

#[derive(Debug, PartialEq)]
pub enum Kind {
    Simple { assignments: Vec<Assignment>, words: Vec<Word> },
    Brace(List),
    Subshell(List),
    If { branches: Vec<(List, List)>, otherwise: Option<List> },
    While { until: bool, condition: List, body: List },
    For { name: Vec<u8>, words: Option<Vec<Word>>, body: List },
    Case { word: Word, arms: Vec<Arm> },
    Function { name: Vec<u8>, body: Rc<Command> },
}

#[derive(Debug, PartialEq)]
pub struct Arm {
    pub patterns: Vec<Word>,
    pub body: List,
    /// `;&`: go on with the next arm's body.
    pub falls_through: bool,
}

#[derive(Debug, PartialEq)]
pub struct Assignment {
    pub name: Vec<u8>,
    pub value: Word,
}

#[derive(Debug, PartialEq)]
pub struct Redirect {
    /// The descriptor before the operator, or the operator's default.
    pub fd: i32,
    pub kind: RedirectKind,
}

#[derive(Debug, PartialEq)]
pub enum RedirectKind {
    /// `<`
    Read(Word),
    /// `>`, and `>|` with `clobber`
    Write { target: Word, clobber: bool },
    /// `>>`
    Append(Word),
    /// `<>`
    ReadWrite(Word),
    /// `<&` and `>&`: a descriptor, or `-` to close
    Duplicate(Word),
    /// `<<`; the body is known once the lines below have been read
    Here(Rc<OnceCell<Word>>),
}

/// A word before expansion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Word {
    pub parts: Vec<Part>,
    /// An operand such as `a=$b` of `export`: expanded like an assignment, without splitting or globbing.
    pub assignment: bool,
}

impl Word {
    /// The text of a word in which nothing is quoted and nothing expands.
    pub fn plain(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Unquoted characters, where `*` is a pattern.
    Literal(Vec<u8>),
    /// `'…'`, `\c`, `$'…'`.
    Quoted(Vec<u8>),
    /// `"…"`.
    Double(Vec<Part>),
    /// `$name`, `${…}`.
    Parameter(Box<Parameter>),
    /// `$(…)` and backquotes.
    Command(Rc<List>),
    /// `$((…))`: expanded as in double quotes, then evaluated.
    Arithmetic(Vec<Part>),
    /// `~` or `~user`.
    Tilde(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: Name,
    pub modifier: Modifier,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Variable(Vec<u8>),
    /// `$1`, `${10}`; `$0` is not one of them.
    Positional(usize),
    /// `@ * # ? - $ ! 0`
    Special(u8),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Modifier {
    None,
    /// `${#x}`
    Length,
    /// `${x-w}`, and `${x:-w}` with `null`: an empty value counts as unset
    Default {
        word: Word,
        null: bool,
    },
    /// `${x=w}`
    Assign {
        word: Word,
        null: bool,
    },
    /// `${x?w}`
    Error {
        word: Word,
        null: bool,
    },
    /// `${x+w}`
    Alternative {
        word: Word,
        null: bool,
    },
    /// `${x#w}`, and `${x##w}` with `longest`
    Prefix {
        pattern: Word,
        longest: bool,
    },
    /// `${x%w}`, `${x%%w}`
    Suffix {
        pattern: Word,
        longest: bool,
    },
    /// Something in braces that means nothing; an error when it is expanded.
    Bad(Vec<u8>),
}
