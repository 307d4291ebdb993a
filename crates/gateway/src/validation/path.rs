//! Where something stands in a body, such as `input[2].content`. Costs nothing until it is printed.

use std::fmt;

/// The most characters shown of a name that the client chose.
const NAME_CHARS_MAX: usize = 64;

/// A place in a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) const fn key(&'a self, name: &'a str) -> Self {
        Self::Key(self, name)
    }

    pub(super) const fn index(&'a self, place: usize) -> Self {
        Self::Index(self, place)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("body"),
            Self::Key(parent, name) => {
                if !matches!(parent, Self::Root) {
                    write!(f, "{parent}.")?;
                }
                match name.char_indices().nth(NAME_CHARS_MAX) {
                    None => f.write_str(name),
                    Some((end, _)) => write!(f, "{}...", &name[..end]),
                }
            }
            Self::Index(parent, place) => write!(f, "{parent}[{place}]"),
        }
    }
}
