//! How often something took how long: counts in buckets that are as wide as a thirty-second of what they stand for, so that
//! any number of times takes the same room.

use std::time::Duration;

/// Buckets for each power of two.
const STEPS: u64 = 32;
const BITS: u32 = STEPS.trailing_zeros();
/// Nanoseconds of 64 bits.
const BUCKETS: usize = (64 - BITS as usize) * STEPS as usize + STEPS as usize;

pub struct Histogram {
    buckets: Vec<u64>,
    pub count: u64,
    pub largest: Duration,
}

/// Up to 64 each number has its own; then each power of two has 32.
fn bucket(value: u64) -> usize {
    let shift = value.max(1).ilog2().saturating_sub(BITS);
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

/// The largest number of a bucket.
fn most(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / STEPS).saturating_sub(1);
    let steps = bucket - shift * STEPS;
    ((u128::from(steps) + 1) << shift).saturating_sub(1) as u64
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram { buckets: vec![0; BUCKETS], count: 0, largest: Duration::ZERO }
    }

    /// `count` things took so long each.
    pub fn add(&mut self, time: Duration, count: u64) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(held) = self.buckets.get_mut(bucket(nanoseconds)) {
            *held += count;
            self.count += count;
            self.largest = self.largest.max(time);
        }
    }

    /// The time that `part` of all, at most 1, did not exceed; nothing of nothing.
    pub fn at(&self, part: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * part).ceil() as u64).clamp(1, self.count.max(1));
        let mut passed = 0;
        let found = self.buckets.iter().position(|held| {
            passed += held;
            passed >= rank
        })?;
        Some(Duration::from_nanos(most(found)).min(self.largest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_bucket_that_is_near() {
        assert_eq!([0, 1, 31, 32, 63].map(bucket), [0, 1, 31, 32, 63]);
        assert_eq!([64, 65, 66, 127, 128].map(bucket), [64, 64, 65, 95, 96]);
        assert_eq!(([63, 64, 65, 95, 96].map(most)), [63, 65, 67, 127, 131]);
        assert_eq!((bucket(u64::MAX), most(bucket(u64::MAX))), (BUCKETS - 1, u64::MAX));
    }

    #[test]
    fn percentiles() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.at(0.5), None);
        for micros in 1..=100 {
            histogram.add(Duration::from_micros(micros), 1);
        }
        let micros = |part| histogram.at(part).unwrap().as_nanos() / 10;
        // At most a thirty-second too much.
        assert_eq!([0.0, 0.5, 0.9, 0.99, 1.0].map(micros), [100, 5017, 9011, 10000, 10000]);
        histogram.add(Duration::from_secs(3), 100);
        assert_eq!((histogram.count, histogram.at(0.999)), (200, Some(Duration::from_secs(3))));
    }
}
