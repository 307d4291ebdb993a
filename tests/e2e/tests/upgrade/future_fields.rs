//! Documents with fields that this release does not know.
