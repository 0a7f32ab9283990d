"""One kind of job a file: `run(job_id, attempt)` loads, calls the backend and saves."""
