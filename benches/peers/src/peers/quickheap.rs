//! quickheap: a heap of layers parted with vector instructions; marks for cancelling.

use quickheap::KvSimdQuickHeap;

use super::marks::{Marks, can_hold};
use crate::peer::{Cancelled, Kind, Order, Peer};
use crate::workload::Workload;

/// The heap's value is of the key's type, 64 bits: they hold the timer's number and the place of
/// its value, 32 bits each.
pub(crate) struct Quickheap {
    heap: KvSimdQuickHeap<u64>,
    /// The first timer, kept out of the heap, which has no peeking.
    head: Option<(u64, u64)>,
    marks: Marks,
    values: Vec<u64>,
    /// Places in `values` to be used again.
    free: Vec<u32>,
}

impl Peer for Quickheap {
    type Handle = u64;

    const NAME: &'static str = "quickheap";
    const KIND: Kind = Kind::Marking;
    const ORDER: Order = Order::Due;

    fn new() -> Self {
        Self {
            heap: KvSimdQuickHeap::new(),
            head: None,
            marks: Marks::default(),
            values: Vec::new(),
            free: Vec::new(),
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> u64 {
        let number = self.marks.take_in();
        let place = if let Some(place) = self.free.pop() {
            self.values[place as usize] = value;
            place
        } else {
            self.values.push(value);
            (self.values.len() - 1) as u32
        };
        let timer = (due, number << 32 | u64::from(place));
        match &mut self.head {
            Some(head) if due < head.0 => {
                let (due, timer) = std::mem::replace(head, timer);
                self.heap.push(due, timer);
            }
            Some(_) => self.heap.push(timer.0, timer.1),
            None => self.head = Some(timer),
        }
        number
    }

    #[inline]
    fn cancel(&mut self, handle: u64) -> Cancelled {
        self.marks.cancel(handle)
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        while let Some((due, timer)) = self.head {
            if due > now {
                break;
            }
            self.head = self.heap.pop();
            let place = timer as u32;
            self.free.push(place);
            if self.marks.finish(timer >> 32) {
                fire(self.values[place as usize]);
            }
        }
    }

    fn can_do(workload: Workload, timers: usize) -> Result<(), &'static str> {
        can_hold(workload, timers, 960)
    }
}
