//! Variables: values, attributes, local scopes, and the environment they make.

pub mod dynamic;
pub mod positional;

use std::cell::RefCell;
use std::rc::Rc;

use super::map::Map;
use crate::applet::{Environment, os};
use crate::output::{Safe, order};

#[derive(Clone, Debug, Default, PartialEq)]
struct Variable {
    /// `None`: declared (exported, readonly, local) but unset.
    value: Option<Vec<u8>>,
    exported: bool,
    readonly: bool,
    /// A value is evaluated as arithmetic when it is assigned.
    integer: bool,
    /// Of OPTIND: the letter at which `getopts` goes on in the word before; 0 at the start of a word, which an assignment
    /// makes it.
    letter: u32,
}

/// What is known of a variable beside its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub exported: bool,
    pub readonly: bool,
    pub integer: bool,
}

/// What names were before the scope, `None` where they did not exist, in the order of their first change.
#[derive(Default)]
struct Scope {
    saved: Vec<(Vec<u8>, Option<Variable>)>,
    /// Where the isolation was that this scope's replaces.
    isolates: Option<Option<usize>>,
}

#[derive(Default)]
pub struct Variables {
    map: Map<Vec<u8>, Variable>,
    /// One for each running function (dynamic scope), and for each command with assignments before it.
    scopes: Vec<Scope>,
    /// The innermost scope that keeps all changes from what is outside.
    isolation: Option<usize>,
    /// Whether any variable ever was an integer.
    integers: bool,
    /// The exported variables as commands get them, made when first needed and dropped on a change.
    environment: RefCell<Option<Rc<Environment>>>,
}

impl Variables {
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.map.get(name)?.value.as_deref()
    }

    /// Sets a value; an error names the readonly variable.
    pub fn set(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), String> {
        self.protect(name);
        match self.map.get_mut(name) {
            Some(variable) if variable.readonly => return Err(format!("{}: is read only", Safe(name))),
            Some(variable) => {
                variable.value = Some(value);
                variable.letter = 0;
                if variable.exported {
                    self.environment.take();
                }
            }
            None => {
                self.map.insert(name.to_vec(), Variable { value: Some(value), ..Variable::default() });
            }
        }
        Ok(())
    }

    /// Adds to a value in place. `false`: there is none, or it is readonly.
    pub fn append(&mut self, name: &[u8], text: &[u8]) -> bool {
        self.protect(name);
        match self.map.get_mut(name) {
            Some(Variable { value: Some(value), exported, readonly: false, integer: false, .. }) => {
                value.extend_from_slice(text);
                if *exported {
                    self.environment.take();
                }
                true
            }
            _ => false,
        }
    }

    pub fn export(&mut self, name: &[u8], exported: bool) {
        self.protect(name);
        self.map.entry(name.to_vec()).or_default().exported = exported;
        self.environment.take();
    }

    pub fn make_readonly(&mut self, name: &[u8]) {
        self.protect(name);
        self.map.entry(name.to_vec()).or_default().readonly = true;
    }

    pub fn make_integer(&mut self, name: &[u8], integer: bool) {
        self.protect(name);
        self.integers |= integer;
        self.map.entry(name.to_vec()).or_default().integer = integer;
    }

    pub fn is_integer(&self, name: &[u8]) -> bool {
        self.integers && self.map.get(name).is_some_and(|variable| variable.integer)
    }

    /// `None` where nothing is known of the name.
    pub fn attributes(&self, name: &[u8]) -> Option<Attributes> {
        let known = self.map.get(name)?;
        Some(Attributes { exported: known.exported, readonly: known.readonly, integer: known.integer })
    }

    /// The letter at which `getopts` goes on, where a name holds a place.
    pub fn letter(&self, name: &[u8]) -> usize {
        self.map.get(name).map_or(0, |variable| variable.letter as usize)
    }

    pub fn set_letter(&mut self, name: &[u8], letter: usize) {
        if let Some(variable) = self.map.get_mut(name) {
            variable.letter = u32::try_from(letter).unwrap_or(0);
        }
    }

    pub fn unset(&mut self, name: &[u8]) -> Result<(), String> {
        if self.map.get(name).is_some_and(|variable| variable.readonly) {
            return Err(format!("{}: is read only", Safe(name)));
        }
        self.protect(name);
        if self.map.remove(name).is_some_and(|variable| variable.exported) {
            self.environment.take();
        }
        Ok(())
    }

    pub fn enter(&mut self) {
        self.scopes.push(Scope::default());
    }

    /// Begins a scope that takes back every change when it ends.
    pub fn isolate(&mut self) {
        let outer = self.isolation.replace(self.scopes.len());
        self.scopes.push(Scope { isolates: Some(outer), ..Scope::default() });
    }

    /// Before a change: remembers what an isolating scope has to bring back.
    fn protect(&mut self, name: &[u8]) {
        if let Some(at) = self.isolation {
            self.save(at, name);
        }
    }

    /// `false`: the scope had it already.
    fn save(&mut self, at: usize, name: &[u8]) -> bool {
        let Some(scope) = self.scopes.get_mut(at) else { return false };
        let new = scope.saved.iter().all(|(known, _)| known != name);
        if new {
            scope.saved.push((name.to_vec(), self.map.get(name).cloned()));
        }
        new
    }

    /// Ends the innermost scope: what it hid is back. `true`: so is what says which target is meant.
    pub fn leave(&mut self) -> bool {
        let Scope { saved, isolates } = self.scopes.pop().unwrap_or_default();
        let retargeted = saved.iter().any(|(name, _)| name == b"SIDEBOX_TARGET");
        if let Some(outer) = isolates {
            self.isolation = outer;
        }
        for (name, old) in saved.into_iter().rev() {
            let was_exported = old.as_ref().is_some_and(|variable| variable.exported);
            let inner = match old {
                Some(variable) => self.map.insert(name, variable),
                None => self.map.remove(&name),
            };
            if was_exported || inner.is_some_and(|variable| variable.exported) {
                self.environment.take();
            }
        }
        retargeted
    }

    /// Hides a variable until the innermost scope ends; it keeps its value and its attributes until they change.
    /// `false`: it was hidden already.
    pub fn hide(&mut self, name: &[u8]) -> bool {
        self.protect(name);
        self.scopes.len().checked_sub(1).is_some_and(|innermost| self.save(innermost, name))
    }

    /// Takes the value from a variable, which keeps its attributes.
    pub fn clear(&mut self, name: &[u8]) {
        self.protect(name);
        let variable = self.map.entry(name.to_vec()).or_default();
        (variable.value, variable.letter) = (None, 0);
        if variable.exported {
            self.environment.take();
        }
    }

    /// All names that begin with `prefix`, sorted.
    pub fn names(&self, prefix: &[u8]) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> =
            self.map.keys().map(Vec::as_slice).filter(|name| name.starts_with(prefix)).collect();
        order::sort(&mut names);
        names
    }

    /// Name and value of those with the attribute, sorted.
    pub fn listed(&self, list: Listing) -> Vec<(&[u8], Option<&[u8]>)> {
        let wanted = |variable: &Variable| match list {
            Listing::Set => variable.value.is_some(),
            Listing::Exported => variable.exported,
            Listing::Readonly => variable.readonly,
        };
        let chosen = self.map.iter().filter(|(_, variable)| wanted(variable));
        let mut list: Vec<_> = chosen.map(|(name, variable)| (name.as_slice(), variable.value.as_deref())).collect();
        order::sort(&mut list);
        list
    }

    /// What a command is started with.
    pub fn environment(&self) -> Rc<Environment> {
        let make = || {
            let exported = self.map.iter().filter(|(_, variable)| variable.exported);
            let pairs = exported.filter_map(|(name, variable)| Some((os(name), os(variable.value.as_ref()?))));
            Rc::new(pairs.collect())
        };
        Rc::clone(self.environment.borrow_mut().get_or_insert_with(make))
    }
}

/// Which variables to list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    Set,
    Exported,
    Readonly,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_restore_and_nest() {
        let mut variables = Variables::default();
        variables.set(b"a", b"1".to_vec()).unwrap();
        variables.enter();
        variables.hide(b"a");
        variables.hide(b"b");
        variables.set(b"a", b"2".to_vec()).unwrap();
        variables.set(b"b", b"3".to_vec()).unwrap();
        assert_eq!(variables.get(b"a"), Some(&b"2"[..]));
        variables.leave();
        assert_eq!(variables.get(b"a"), Some(&b"1"[..]));
        assert_eq!(variables.get(b"b"), None);
    }

    #[test]
    fn the_environment_follows_changes() {
        let mut variables = Variables::default();
        variables.set(b"a", b"1".to_vec()).unwrap();
        assert_eq!(variables.environment().get("a"), None);
        variables.export(b"a", true);
        assert_eq!(variables.environment().get("a").unwrap(), "1");
        variables.set(b"a", b"2".to_vec()).unwrap();
        assert_eq!(variables.environment().get("a").unwrap(), "2");
        variables.make_readonly(b"a");
        assert_eq!(variables.set(b"a", b"3".to_vec()), Err(String::from("a: is read only")));
        assert_eq!(variables.unset(b"a"), Err(String::from("a: is read only")));
    }
}
