//! Joins the pages of several recorders into one, in the Prometheus text format.

use std::collections::HashMap;

/// The series of several recorders, by metric.
#[derive(Default)]
pub(super) struct Page {
    families: Vec<Family>,
    places: HashMap<String, usize>,
}

/// A metric: its help and type, and the lines of its series.
#[derive(Default)]
struct Family {
    head: String,
    series: String,
}

impl Page {
    /// Adds the page of a recorder, which writes each metric as its help and type followed by its series.
    pub(super) fn add(&mut self, page: &str) {
        let known = self.families.len();
        let mut at = 0;
        for line in page.split_inclusive('\n').filter(|line| !line.trim().is_empty()) {
            // A comment is `# HELP name text` or `# TYPE name type`.
            let Some(comment) = line.strip_prefix("# ") else {
                if let Some(family) = self.families.get_mut(at) {
                    family.series.push_str(line);
                }
                continue;
            };
            let name = comment.split_ascii_whitespace().nth(1).unwrap_or_default();
            at = *self.places.entry(name.to_owned()).or_insert_with(|| {
                self.families.push(Family::default());
                self.families.len() - 1
            });
            if at >= known {
                self.families[at].head.push_str(line);
            }
        }
    }

    /// Returns the text.
    pub(super) fn text(&self) -> String {
        self.families.iter().map(|family| format!("{}{}", family.head, family.series)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_metric_follow_its_help_and_type_which_are_written_once() {
        let mut page = Page::default();
        page.add(
            "# HELP a Help of a.\n# TYPE a counter\na{v=\"1\"} 1\n\n# HELP b B.\n# TYPE b gauge\nb 2\n\n",
        );
        page.add("# HELP b B.\n# TYPE b gauge\nb{v=\"2\"} 3\n\n# TYPE a counter\na{v=\"2\"} 4\n");
        page.add("");
        assert_eq!(
            page.text(),
            "# HELP a Help of a.\n# TYPE a counter\na{v=\"1\"} 1\na{v=\"2\"} 4\n\
             # HELP b B.\n# TYPE b gauge\nb 2\nb{v=\"2\"} 3\n"
        );
    }
}
