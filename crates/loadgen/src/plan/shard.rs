//! Divides a plan into parts that several machines run together.

use std::{fmt, num::NonZeroU32, str::FromStr};

/// Part `index` of `of` parts, counted from 1. Arrival n of a phase and user n belong to part (n mod `of`) + 1. So every arrival
/// is in exactly one part, and the rate of each part is proportional to that of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    index: NonZeroU32,
    of: NonZeroU32,
}

/// The most parts. A greater number is probably a typing error.
const MOST: u32 = 10_000;

impl Shard {
    /// The whole plan: part 1 of 1.
    pub const WHOLE: Self = Self { index: NonZeroU32::MIN, of: NonZeroU32::MIN };

    /// Returns the part of the pod of an Indexed Job that has this completion index. Those count from 0.
    ///
    /// # Errors
    /// If there is no index, or it is not one of `of`.
    pub fn of_job(index: Option<&str>, of: u32) -> Result<Self, String> {
        let index =
            index.ok_or("is not set; it is in the pods of an Indexed Job, elsewhere use --shard I/N")?;
        match index.parse::<u32>() {
            Ok(number) if number < of => format!("{}/{of}", number + 1).parse(),
            _ => Err(format!("expected an index from 0 to {}, got {index:?}", i64::from(of) - 1)),
        }
    }

    /// Returns the number of this part, counted from 1.
    pub fn index(self) -> u32 {
        self.index.get()
    }

    /// Returns how many parts there are.
    pub fn of(self) -> u32 {
        self.of.get()
    }

    /// Returns whether this part is the whole plan.
    pub fn is_whole(self) -> bool {
        self.of.get() == 1
    }

    /// Returns whether arrival or user `n` of a phase, counted from 0, belongs to this part.
    pub fn takes(self, n: u64) -> bool {
        n % u64::from(self.of.get()) == u64::from(self.index.get() - 1)
    }

    /// Returns how many of `total` items, such as users, belong to this part. The counts of all parts add up to `total`.
    pub fn share(self, total: usize) -> usize {
        let (before, of) = ((self.index.get() - 1) as usize, self.of.get() as usize);
        total.saturating_sub(before).div_ceil(of)
    }

    /// Returns the position of this part's item `n` among the items of all parts, counted from 0.
    pub fn item(self, n: usize) -> usize {
        n * self.of.get() as usize + (self.index.get() - 1) as usize
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("expected one part of several, such as 1/3, 2/3 or 3/3, got {text:?}");
        let (index, of) = text.split_once('/').ok_or_else(problem)?;
        let number = |digits: &str| digits.parse::<NonZeroU32>().map_err(|_| problem());
        let (index, of) = (number(index)?, number(of)?);
        if index > of {
            return Err(format!("there is no part {index} of {of}; parts are 1/{of} to {of}/{of}"));
        }
        if of.get() > MOST {
            return Err(format!("must be at most {MOST} parts, got {of}"));
        }
        Ok(Self { index, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_is_read_as_it_is_written_and_other_texts_are_rejected() {
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
        assert!("1/1".parse::<Shard>().unwrap().is_whole());
        for bad in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/2/3", "a/b", "1/99999999"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_pods_of_a_job_run_all_parts() {
        let parts = ["0", "1", "2"].map(|index| Shard::of_job(Some(index), 3).unwrap().to_string());
        assert_eq!(parts, ["1/3", "2/3", "3/3"]);
        for bad in ["3", "-1", "", "one"] {
            assert_eq!(
                Shard::of_job(Some(bad), 3),
                Err(format!("expected an index from 0 to 2, got {bad:?}"))
            );
        }
        assert!(Shard::of_job(Some("0"), 0).is_err());
        assert!(Shard::of_job(Some("0"), 10_001).is_err());
        assert!(Shard::of_job(None, 3).unwrap_err().starts_with("is not set"));
    }

    proptest! {
        #[test]
        fn each_item_belongs_to_exactly_one_part(of in 1u32..12, total in 0usize..200) {
            let parts: Vec<Shard> = (1..=of).map(|index| format!("{index}/{of}").parse().unwrap()).collect();
            let mut items = Vec::new();
            for part in &parts {
                let taken: Vec<usize> = (0..total).filter(|&n| part.takes(n as u64)).collect();
                prop_assert_eq!(taken.len(), part.share(total));
                prop_assert!(taken.iter().enumerate().all(|(n, &item)| part.item(n) == item));
                items.extend(taken);
            }
            items.sort_unstable();
            prop_assert_eq!(items, (0..total).collect::<Vec<_>>());
        }
    }
}
