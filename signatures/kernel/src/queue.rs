//! A queue of parts of batches, which threads verify without ever taking the GIL. A thread that had
//! to wait for it before and after its work would be woken twice as often, and the event loop, which
//! holds it, would be as well: together more than what many a batch takes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::time::{ClockId, clock_gettime};

use crate::jobs;
use crate::python::{Batch, guarded};

/// Parts of batches that are verified together, and what Python wants back with their verdicts.
struct Task {
    parts: Vec<(Py<Batch>, usize, usize)>,
    ticket: Py<PyAny>,
}

/// A task, which is dropped where the GIL is held; its verdicts, and the CPU seconds that it took.
struct Finished {
    task: Task,
    verdicts: PyResult<Vec<u8>>,
    seconds: f64,
}

/// A ticket, the verdicts or the error, and CPU seconds.
type Answer<'py> = (Py<PyAny>, Bound<'py, PyAny>, f64);

#[derive(Default)]
struct State {
    waiting: VecDeque<Task>,
    finished: Vec<Finished>,
    closed: bool,
}

/// Parts of batches for threads to verify.
#[pyclass(frozen)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Gets a byte when the first task of a round is finished, so that an event loop wakes.
    wake: UnixStream,
    woken: UnixStream,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a task; None once the queue is closed.
    fn next(&self) -> Option<Task> {
        let mut state = self.state();
        while !state.closed {
            if let Some(task) = state.waiting.pop_front() {
                return Some(task);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn finish(&self, finished: Finished) {
        let mut state = self.state();
        state.finished.push(finished);
        let is_first = state.finished.len() == 1;
        drop(state);
        if is_first {
            // If there is no room for a byte, there are enough to wake the loop.
            let _ = (&self.wake).write(&[0]);
        }
    }
}

#[pymethods]
impl Queue {
    #[new]
    fn new() -> PyResult<Self> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        Ok(Self { state: Mutex::default(), changed: Condvar::new(), wake, woken })
    }

    /// Give the threads the items from start to stop of each (batch, start, stop), to be verified
    /// together. IndexError if a batch has no such items.
    fn put(&self, parts: Vec<(Py<Batch>, usize, usize)>, ticket: Py<PyAny>) -> PyResult<()> {
        for (batch, start, stop) in &parts {
            batch.get().items(*start, *stop)?;
        }
        self.state().waiting.push_back(Task { parts, ticket });
        self.changed.notify_one();
        Ok(())
    }

    /// Verify what is put, on this thread and without the GIL, until the queue is closed.
    fn work(&self, py: Python) {
        py.detach(|| {
            while let Some(task) = self.next() {
                let began = thread_seconds();
                let verdicts = guarded(|| verify(&task)).flatten();
                self.finish(Finished { task, verdicts, seconds: thread_seconds() - began });
            }
        });
    }

    /// Return a descriptor that becomes readable when something is finished.
    fn fileno(&self) -> i32 {
        self.woken.as_raw_fd()
    }

    /// Return the ticket, the verdicts or the error, and the CPU seconds of what was finished since.
    fn finished<'py>(&self, py: Python<'py>) -> PyResult<Vec<Answer<'py>>> {
        // First, so that what is finished from now on leaves a byte.
        let _ = (&self.woken).read(&mut [0; 64]);
        let finished = std::mem::take(&mut self.state().finished);
        let answers = finished.into_iter().map(|Finished { task, verdicts, seconds }| {
            let answer = match verdicts {
                Ok(verdicts) => PyBytes::new(py, &verdicts).into_any(),
                Err(error) => error.into_value(py).into_bound(py).into_any(),
            };
            (task.ticket, answer, seconds)
        });
        Ok(answers.collect())
    }

    /// End the threads; what none of them has begun is dropped.
    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let dropped = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        drop(dropped);
    }
}

fn verify(task: &Task) -> PyResult<Vec<u8>> {
    let mut all = Vec::new();
    for (batch, start, stop) in &task.parts {
        all.extend(batch.get().jobs(*start, *stop)?);
    }
    Ok(jobs::verify(&all, None))
}

/// Returns the CPU time of this thread.
fn thread_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}
