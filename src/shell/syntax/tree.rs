//! What the parser makes of a script and the executor walks.

use std::cell::OnceCell;
use std::ops::Deref;
use std::rc::Rc;

use super::super::arithmetic::Expression;

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
    /// For the list of jobs.
    pub text: Written,
}

/// How something was written: a piece of the text of a complete command, which is kept once for all its pieces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Set when all of the command has been read.
    script: Rc<OnceCell<Vec<u8>>>,
    start: usize,
    end: usize,
}

impl Written {
    pub fn new(script: &Rc<OnceCell<Vec<u8>>>, start: usize, end: usize) -> Written {
        Written { script: Rc::clone(script), start, end }
    }
}

impl Deref for Written {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.script.get().and_then(|script| script.get(self.start..self.end)).unwrap_or_default().trim_ascii()
    }
}

impl From<Vec<u8>> for Written {
    fn from(text: Vec<u8>) -> Written {
        Written { start: 0, end: text.len(), script: Rc::new(OnceCell::from(text)) }
    }
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
    /// `time`, and `time -p`
    pub timed: Option<Timed>,
    pub commands: Vec<Rc<Command>>,
}

/// What `time` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// Minutes and milliseconds.
    Usual,
    /// `-p`: seconds, as POSIX.1-2024 has it.
    Portable,
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
    Simple {
        assignments: Vec<Assignment>,
        words: Vec<Word>,
    },
    Brace(List),
    Subshell(List),
    If {
        branches: Vec<(List, List)>,
        otherwise: Option<List>,
    },
    While {
        until: bool,
        condition: List,
        body: List,
    },
    For {
        name: Vec<u8>,
        words: Option<Vec<Word>>,
        body: List,
    },
    /// `for ((first; condition; next))`
    Count {
        header: Box<[Arithmetic; 3]>,
        body: List,
    },
    Case {
        word: Word,
        arms: Vec<Arm>,
    },
    /// `((…))`
    Arithmetic(Arithmetic),
    /// `[[ … ]]`
    Conditional(Box<Condition>),
    Function {
        name: Vec<u8>,
        body: Rc<Command>,
    },
}

#[derive(Debug, PartialEq)]
pub struct Arm {
    pub patterns: Vec<Word>,
    pub body: List,
    pub end: ArmEnd,
}

/// What happens behind the body of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArmEnd {
    /// `;;`
    Leave,
    /// `;&`: the next arm's body is run.
    FallThrough,
    /// `;;&`: the next arms are tried.
    TryNext,
}

/// The expression of `[[ … ]]`.
#[derive(Debug, PartialEq)]
pub enum Condition {
    Or(Box<Condition>, Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    /// A string that is not empty.
    Text(Word),
    /// `-f file`
    Unary(Vec<u8>, Word),
    Binary(Word, Comparison, Word),
}

#[derive(Debug, PartialEq)]
pub enum Comparison {
    /// `=` and `==`; `!=` is its negation
    Pattern,
    /// `=~`
    Regex,
    /// All that `test` has, too.
    Test(Vec<u8>),
}

#[derive(Debug, PartialEq)]
pub struct Assignment {
    pub name: Vec<u8>,
    pub value: Word,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    pub fd: Descriptor,
    pub kind: RedirectKind,
}

impl Redirect {
    /// Whether nothing in it expands.
    pub fn is_constant(&self) -> bool {
        let constant = |word: &Word| word.parts.iter().all(|part| matches!(part, Part::Literal(_) | Part::Quoted(_)));
        match &self.kind {
            RedirectKind::Here(body) => body.get().is_none_or(constant),
            kind => kind.word().is_none_or(constant),
        }
    }
}

/// What stands before the operator.
#[derive(Clone, Debug, PartialEq)]
pub enum Descriptor {
    /// The number, or the operator's default.
    Number(i32),
    /// `{name}`: a free one, whose number the variable gets.
    Named(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum RedirectKind {
    /// `<`
    Read(Word),
    /// `>`, and `>|` with `clobber`
    Write { target: Word, clobber: bool },
    /// `>>`
    Append(Word),
    /// `<>`
    ReadWrite(Word),
    /// `<&` with `input`, `>&`: of a descriptor; `-` closes
    Copy { word: Word, input: bool },
    /// `&>`, and `&>>` with `append`: standard output and standard error
    Both { target: Word, append: bool },
    /// `<<`; the body is known once the lines below have been read
    Here(Rc<OnceCell<Word>>),
    /// `<<<`
    HereString(Word),
}

impl RedirectKind {
    /// What stands behind the operator; nothing of a here-document's delimiter is kept.
    pub fn word(&self) -> Option<&Word> {
        match self {
            RedirectKind::Here(_) => None,
            RedirectKind::Read(word)
            | RedirectKind::Write { target: word, .. }
            | RedirectKind::Append(word)
            | RedirectKind::ReadWrite(word)
            | RedirectKind::Copy { word, .. }
            | RedirectKind::Both { target: word, .. }
            | RedirectKind::HereString(word) => Some(word),
        }
    }
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
    /// `$((…))`
    Arithmetic(Box<Arithmetic>),
    /// `~` or `~user`.
    Tilde(Vec<u8>),
}

/// Expanded as in double quotes, then evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Arithmetic {
    pub parts: Vec<Part>,
    /// What they say, where that is known before they are expanded.
    pub expression: Option<Expression>,
}

impl Arithmetic {
    pub fn new(parts: Vec<Part>) -> Arithmetic {
        Arithmetic { expression: Expression::of_parts(&parts), parts }
    }
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
    /// `${!x}`: the parameter that the value names
    Indirect(Box<Name>),
    /// `${!x*}` and `${!x@}`: the names of variables
    Names {
        prefix: Vec<u8>,
        like: u8,
    },
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
    /// `${x/p/w}`
    Replace {
        pattern: Word,
        replacement: Word,
        place: Place,
    },
    /// `${x:o}`, `${x:o:l}`
    Substring {
        offset: Arithmetic,
        length: Option<Arithmetic>,
    },
    /// `${x^p}`, `${x,p}`: the characters that match the pattern
    Case {
        pattern: Word,
        upper: bool,
        all: bool,
    },
    /// Something in braces that means nothing to us; an error when it is expanded.
    Bad {
        text: Vec<u8>,
        why: &'static str,
    },
}

/// What a replacement replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `${x/p/w}`
    First,
    /// `${x//p/w}`
    All,
    /// `${x/#p/w}`
    Prefix,
    /// `${x/%p/w}`
    Suffix,
}
