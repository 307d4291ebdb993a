//! Runs all commands of the README's walk-through in one shell, against a new process, and compares their outputs.

use std::{env, fs, io::Write as _, process::Stdio};

use e2e::{process::Forebay, readme};
use regex::Regex;

/// The address of Forebay in the README.
const ADDRESS: &str = "localhost:8080";

/// A command and the output that the README shows.
struct Step {
    command: String,
    expected: String,
}

/// The steps of a part of the README. A line that begins with `$ ` is a command. The lines after a command, in the same
/// block, are its output.
fn steps(part: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in part.split("```console\n").skip(1) {
        let (block, _) = block
            .split_once("```")
            .expect("the block has a closing fence");
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step {
                    command: command.to_owned(),
                    expected: String::new(),
                });
            } else {
                let step = steps.last_mut().expect("the block begins with a command");
                step.expected.push_str(line);
                step.expected.push('\n');
            }
        }
    }
    steps
}

/// Runs the commands one after the other in one shell, and returns the output of each.
async fn run(steps: &[Step], address: &str) -> Vec<String> {
    const END: &str = "@@ end of step";
    let mut script = tempfile::NamedTempFile::new().expect("the script is created");
    for step in steps {
        let command = step.command.replace(ADDRESS, address);
        writeln!(script, "{command}\nprintf '\\n%s\\n' '{END}'").expect("the script is written");
    }
    let output = tokio::process::Command::new("bash")
        .arg(script.path())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .expect("bash starts");
    let printed = String::from_utf8(output.stdout)
        .expect("the output is text")
        .replace('\r', "");
    let mut parts: Vec<String> = printed
        .split(&format!("\n{END}\n"))
        .map(|part| part.trim_end().to_owned())
        .collect();
    assert_eq!(parts.pop().as_deref(), Some(""), "the shell ended early");
    parts
        .into_iter()
        .map(|part| if part.is_empty() { part } else { part + "\n" })
        .collect()
}

/// The text with placeholders for all parts that differ from run to run.
fn with_placeholders(text: &str) -> String {
    let rules = [
        (r"job_[0-9a-f]{34}", "JOB"),
        (r"forebay-[0-9a-f]{32}", "WORKER"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
        (r"(?m)^date: .*$", "date: TIME"),
        (r"(?m)^x-request-id: .*$", "x-request-id: ID"),
        (r"drained_per_s.:\d+\.\d+", "drained_per_s"),
        // The position in the queue depends on the last jobs.
        (r#""queue":\{[^}]*\}"#, "QUEUE"),
        // A job may still run when the walk-through reads the queues.
        (r#""interactive":\{[^}]*\}"#, "INTERACTIVE"),
    ];
    let mut text = text.to_owned();
    for (pattern, placeholder) in rules {
        text = Regex::new(pattern)
            .expect("the pattern is valid")
            .replace_all(&text, placeholder)
            .into_owned();
    }
    text
}

#[tokio::test]
async fn the_commands_print_what_the_readme_shows() {
    let readme = readme::read();
    let steps = steps(readme::part(&readme, "walk"));
    assert!(steps.len() >= 8, "only {} commands were found", steps.len());
    let forebay = Forebay::builder().start().await;
    let address = forebay.url().trim_start_matches("http://").to_owned();
    let printed = run(&steps, &address).await;
    assert_eq!(printed.len(), steps.len());
    if env::var_os("FOREBAY_BLESS").is_some() {
        bless(&readme, &steps, &printed);
        return;
    }
    for (step, printed) in steps.iter().zip(printed) {
        assert_eq!(
            with_placeholders(&printed),
            with_placeholders(&step.expected),
            "\n$ {}\nprinted:\n{printed}\nbut the README shows:\n{}",
            step.command,
            step.expected,
        );
    }
}

/// Replaces the outputs in the README with the actual outputs.
fn bless(readme: &str, steps: &[Step], printed: &[String]) {
    let mut blessed = readme.to_owned();
    for (step, printed) in steps.iter().zip(printed) {
        let old = format!("$ {}\n{}", step.command, step.expected);
        assert_eq!(
            blessed.matches(&old).count(),
            1,
            "the README must contain this step exactly once: {old}"
        );
        blessed = blessed.replace(&old, &format!("$ {}\n{printed}", step.command));
    }
    fs::write(readme::path(), blessed).expect("the README is written");
}
