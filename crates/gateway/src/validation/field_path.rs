//! The path of a field in a body, such as `input[2].content`. It is built as text only when printed.

use std::fmt;

/// The most characters printed of a field name that the client chose.
const NAME_CHARS_MAX: usize = 64;

/// The path of a field in a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldPath<'a> {
    /// The body itself.
    Root,
    /// A field of the object at the parent path.
    Key(&'a FieldPath<'a>, &'a str),
    /// An element of the array at the parent path.
    Index(&'a FieldPath<'a>, usize),
}

impl<'a> FieldPath<'a> {
    pub(super) const fn key(&'a self, name: &'a str) -> Self {
        Self::Key(self, name)
    }

    pub(super) const fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for FieldPath<'_> {
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
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
