//! A SQLite database as SQL text, with one statement in each line.

use std::{fmt::Write as _, path::Path};

use rusqlite::{Connection, types::ValueRef};

/// Returns the database as SQL text.
pub(crate) fn dump(path: &Path) -> String {
    let database = Connection::open(path).expect("the database opens");
    let mut sql = String::new();
    for pragma in ["application_id", "user_version"] {
        let value: i64 = database
            .pragma_query_value(None, pragma, |row| row.get(0))
            .expect("the pragma has a value");
        writeln!(sql, "PRAGMA {pragma} = {value};").expect("writing to a string succeeds");
    }
    let tables = schema(&database, "type = 'table'");
    for (_, create) in &tables {
        writeln!(sql, "{};", one_line(create)).expect("writing to a string succeeds");
    }
    for (table, _) in &tables {
        for row in rows(&database, table) {
            writeln!(sql, "INSERT INTO {table} VALUES ({row});")
                .expect("writing to a string succeeds");
        }
    }
    for (_, create) in schema(&database, "type <> 'table'") {
        writeln!(sql, "{};", one_line(&create)).expect("writing to a string succeeds");
    }
    sql
}

/// Creates a database from SQL text.
pub(crate) fn load(path: &Path, sql: &str) {
    let database = Connection::open(path).expect("the database is created");
    database
        .execute_batch(&format!("BEGIN; {sql} COMMIT;"))
        .expect("the SQL is valid");
}

/// The name and the SQL text of each object of the schema that passes the filter.
fn schema(database: &Connection, filter: &str) -> Vec<(String, String)> {
    let sql = format!(
        "SELECT name, sql FROM sqlite_master WHERE {filter} AND sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
         ORDER BY name"
    );
    let mut query = database.prepare(&sql).expect("the query is valid");
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.expect("the query returns rows")
        .map(|row| row.expect("the row is read"))
        .collect()
}

/// A statement without its comments, in one line.
fn one_line(create: &str) -> String {
    let lines = create.lines();
    let lines = lines.map(|line| line.split("--").next().unwrap_or_default().trim());
    lines.collect::<Vec<_>>().join(" ")
}

/// The rows of a table, each as a list of SQL literals.
fn rows(database: &Connection, table: &str) -> Vec<String> {
    let mut query = database
        .prepare(&format!("SELECT * FROM {table}"))
        .expect("the query is valid");
    let columns = query.column_count();
    let literals = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|column| row.get_ref(column).map(literal));
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join(", "))
    };
    let rows = query
        .query_map([], literals)
        .expect("the query returns rows");
    rows.map(|row| row.expect("the row is read")).collect()
}

/// A value as an SQL literal.
fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::from("NULL"),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).expect("the text is UTF-8");
            format!("'{}'", text.replace('\'', "''"))
        }
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{hex}'")
        }
    }
}
