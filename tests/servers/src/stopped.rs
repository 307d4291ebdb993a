//! Finds out whether SIGSTOP has stopped a process group. The kernel stops a thread only when the thread runs next. On a busy
//! machine, this can be some time after the signal.

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
            stat.is_ok_and(|stat| state_and_group(&stat).is_some_and(|(_, id)| id == group))
        })
        .all(|process| {
            let threads = fs::read_dir(process.join("task"));
            threads.into_iter().flatten().flatten().all(|thread| {
                let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                state_and_group(&stat).is_none_or(|(state, _)| matches!(state, 'T' | 'Z' | 'X'))
            })
        })
}

/// The state and the process group in the line of a `stat` file (proc(5)).
fn state_and_group(stat: &str) -> Option<(char, i32)> {
    // The fields follow the process name. The name is in brackets and can contain any character.
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
    fn a_stat_line_is_parsed_although_the_process_name_contains_brackets() {
        let line = "17 (a) b (c) T 1 17 17 0 -1";
        assert_eq!(state_and_group(line), Some(('T', 17)));
        assert_eq!(state_and_group("17"), None);
    }
}
