//! Writes a count with its noun.

/// Returns a count with a noun in the singular or the plural.
///
/// ```
/// use driftsim::counted::counted;
/// assert_eq!(counted(1, "row", "rows"), "1 row");
/// assert_eq!(counted(2, "row", "rows"), "2 rows");
/// ```
pub fn counted(count: u64, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}
