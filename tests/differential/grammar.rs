//! A grammar as text, the scripts that are drawn from it, and making one smaller. `scripts.grammar` tells the form.

use std::collections::HashMap;
use std::fmt;

/// Where a script is this deep, it takes the way out.
const DEPTH: usize = 20;

pub struct Grammar {
    /// The alternatives of every symbol; the first symbol is where a script begins.
    symbols: Vec<Vec<Vec<Token>>>,
}

#[derive(Clone, Debug)]
enum Token {
    Text(String),
    Symbol(usize),
}

impl Grammar {
    pub fn parse(text: &str) -> Grammar {
        let lines = || text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let names = lines().filter(|line| !line.starts_with("    "));
        let numbers: HashMap<&str, usize> = names.enumerate().map(|(number, name)| (name, number)).collect();
        let mut symbols: Vec<Vec<Vec<Token>>> = Vec::new();
        for line in lines() {
            match line.strip_prefix("    ") {
                None => symbols.push(Vec::new()),
                Some(alternative) => {
                    let symbol = symbols.last_mut().expect("the grammar begins with an alternative");
                    symbol.push(tokens(alternative, &numbers));
                }
            }
        }
        assert_eq!(numbers.len(), symbols.len(), "a symbol of the grammar stands twice");
        assert!(symbols.iter().all(|alternatives| !alternatives.is_empty()), "a symbol of the grammar is empty");
        Grammar { symbols }
    }

    pub fn script(&self, seed: u64) -> Script {
        self.draw(0, 0, &mut Random(seed))
    }

    fn draw(&self, symbol: usize, depth: usize, random: &mut Random) -> Script {
        let alternatives = &self.symbols[symbol];
        let choice = if depth < DEPTH { random.below(alternatives.len()) } else { 0 };
        self.build(symbol, choice, |symbol| self.draw(symbol, depth + 1, random))
    }

    /// What the first alternatives make of a symbol.
    fn simplest(&self, symbol: usize) -> Script {
        self.build(symbol, 0, |symbol| self.simplest(symbol))
    }

    fn build(&self, symbol: usize, choice: usize, mut child: impl FnMut(usize) -> Script) -> Script {
        let parts = self.symbols[symbol][choice].iter().map(|token| match token {
            Token::Text(text) => Part::Text(text.clone()),
            Token::Symbol(symbol) => Part::Script(child(*symbol)),
        });
        Script { symbol, parts: parts.collect() }
    }

    /// The smallest script that still fails, in steps that each keep it failing: a part gives way to one of the same
    /// kind inside it, or to the simplest of its kind.
    pub fn reduce(&self, mut script: Script, fails: impl Fn(&str) -> bool) -> Script {
        let mut place = 0;
        while let Some(part) = script.nth(place) {
            let mut inside = Vec::new();
            part.collect(part.symbol, &mut inside);
            let candidates = inside.into_iter().skip(1).cloned().chain([self.simplest(part.symbol)]);
            let shorter = candidates.filter(|candidate| candidate.to_string().len() < part.to_string().len());
            let replaced = shorter.map(|candidate| {
                let mut smaller = script.clone();
                *smaller.nth_mut(&mut place.clone()).expect("it is there") = candidate;
                smaller
            });
            match replaced.into_iter().find(|smaller| fails(&smaller.to_string())) {
                Some(smaller) => script = smaller,
                None => place += 1,
            }
        }
        script
    }
}

/// `a<b>c` with the symbols that there are; `<` and `>` are characters of the shell as well.
fn tokens(mut text: &str, numbers: &HashMap<&str, usize>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    while let Some(first) = text.chars().next() {
        let name = text.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(name, _)| name);
        let fixed = match name {
            Some("nl") => Some("\n"),
            Some("tab") => Some("\t"),
            Some("blank") => Some(" "),
            Some("empty") => Some(""),
            _ => None,
        };
        let symbol = name.and_then(|name| numbers.get(name));
        match (name, fixed, symbol) {
            (Some(name), Some(fixed), _) => {
                literal.push_str(fixed);
                text = &text[name.len() + 2..];
            }
            (Some(name), None, Some(symbol)) => {
                tokens.push(Token::Text(std::mem::take(&mut literal)));
                tokens.push(Token::Symbol(*symbol));
                text = &text[name.len() + 2..];
            }
            _ => {
                literal.push(first);
                text = &text[first.len_utf8()..];
            }
        }
    }
    tokens.push(Token::Text(literal));
    tokens
}

/// A script as it was drawn; its text is what `Display` gives.
#[derive(Clone, Debug)]
pub struct Script {
    symbol: usize,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Script(Script),
}

impl Script {
    fn children(&self) -> impl Iterator<Item = &Script> {
        self.parts.iter().filter_map(|part| match part {
            Part::Script(script) => Some(script),
            Part::Text(_) => None,
        })
    }

    /// This and all below it that are of a symbol, from the top.
    fn collect<'s>(&'s self, symbol: usize, found: &mut Vec<&'s Script>) {
        if self.symbol == symbol {
            found.push(self);
        }
        self.children().for_each(|child| child.collect(symbol, found));
    }

    /// The one at a place, counted from the top.
    fn nth(&self, place: usize) -> Option<&Script> {
        let mut all = Vec::new();
        self.flatten(&mut all);
        all.get(place).copied()
    }

    fn flatten<'s>(&'s self, all: &mut Vec<&'s Script>) {
        all.push(self);
        self.children().for_each(|child| child.flatten(all));
    }

    fn nth_mut(&mut self, place: &mut usize) -> Option<&mut Script> {
        if *place == 0 {
            return Some(self);
        }
        *place -= 1;
        self.parts.iter_mut().find_map(|part| match part {
            Part::Script(script) => script.nth_mut(place),
            Part::Text(_) => None,
        })
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Script(script) => script.fmt(f),
        })
    }
}

/// Sebastiano Vigna's splitmix64: the same numbers for the same seed everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }
}

#[test]
fn a_grammar_is_read_drawn_from_and_reduced() {
    let grammar = Grammar::parse("# a\nlist\n    <item>\n    <item>,<list>\nitem\n    a\n    b\n    <c>\n");
    let script = (0..).map(|seed| grammar.script(seed)).find(|script| script.to_string().matches('b').count() > 2);
    let script = script.unwrap();
    assert_eq!(grammar.script(7).to_string(), grammar.script(7).to_string());
    let smallest = grammar.reduce(script, |text| text.matches('b').count() > 1);
    assert_eq!(smallest.to_string(), "b,b");
}
