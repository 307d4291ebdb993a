//! A SQLite database as SQL text: one statement a line.

use std::{fmt::Write as _, path::Path};

use rusqlite::{Connection, types::ValueRef};

/// Returns the database as SQL text.
pub(crate) fn dump(path: &Path) -> String {
    let db = Connection::open(path).expect("a database");
    let mut sql = String::new();
    for pragma in ["application_id", "user_version"] {
        let value: i64 = db
            .pragma_query_value(None, pragma, |row| row.get(0))
            .expect("a pragma");
        writeln!(sql, "PRAGMA {pragma} = {value};").expect("text");
    }
    let tables = schema(&db, "type = 'table'");
    for (_, create) in &tables {
        writeln!(sql, "{};", one_line(create)).expect("text");
    }
    for (table, _) in &tables {
        for row in rows(&db, table) {
            writeln!(sql, "INSERT INTO {table} VALUES ({row});").expect("text");
        }
    }
    for (_, create) in schema(&db, "type <> 'table'") {
        writeln!(sql, "{};", one_line(&create)).expect("text");
    }
    sql
}

/// Makes a database of the text.
pub(crate) fn load(path: &Path, sql: &str) {
    let db = Connection::open(path).expect("a new database");
    db.execute_batch(&format!("BEGIN; {sql} COMMIT;"))
        .expect("valid SQL");
}

fn schema(db: &Connection, filter: &str) -> Vec<(String, String)> {
    let sql = format!(
        "SELECT name, sql FROM sqlite_master WHERE {filter} AND sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
         ORDER BY name"
    );
    let mut read = db.prepare(&sql).expect("a query");
    let read = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    read.expect("rows").map(|row| row.expect("a row")).collect()
}

fn one_line(create: &str) -> String {
    let lines = create.lines();
    let lines = lines.map(|line| line.split("--").next().unwrap_or_default().trim());
    lines.collect::<Vec<_>>().join(" ")
}

fn rows(db: &Connection, table: &str) -> Vec<String> {
    let mut read = db
        .prepare(&format!("SELECT * FROM {table}"))
        .expect("a query");
    let columns = read.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|n| row.get_ref(n).map(literal));
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join(", "))
    };
    let read = read.query_map([], row).expect("rows");
    read.map(|row| row.expect("a row")).collect()
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::from("NULL"),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).expect("UTF-8");
            format!("'{}'", text.replace('\'', "''"))
        }
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{hex}'")
        }
    }
}
