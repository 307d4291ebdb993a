//! Whether a process group is stopped by SIGSTOP. The kernel stops each thread when that thread runs next, which
//! on a busy machine can be some time after the signal.

use std::fs;

/// Whether every thread of the group is stopped (`T` in proc(5)) or has ended.
pub(crate) fn is_stopped(group: i32) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes
        .flatten()
        .map(|process| process.path())
        .filter(|process| {
            let stat = fs::read_to_string(process.join("stat"));
            stat.is_ok_and(|stat| of_stat(&stat).is_some_and(|(_, of)| of == group))
        })
        .all(|process| {
            let threads = fs::read_dir(process.join("task"));
            threads.into_iter().flatten().flatten().all(|thread| {
                let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                of_stat(&stat).is_none_or(|(state, _)| matches!(state, 'T' | 'Z' | 'X'))
            })
        })
}

/// The state and the process group in a line of `stat`.
fn of_stat(stat: &str) -> Option<(char, i32)> {
    // The fields follow the process name in brackets, which can contain any character.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some((state, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_parsed_with_any_name() {
        let line = "17 (a) b (c) T 1 17 17 0 -1";
        assert_eq!(of_stat(line), Some(('T', 17)));
        assert_eq!(of_stat("17"), None);
    }
}
