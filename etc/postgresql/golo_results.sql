-- The tables of an output postgresql://, for a role that may not create tables.
-- Create them in the first schema of the role's search_path, or in that of the member `schema`.
--
-- With TimescaleDB, also: SELECT create_hypertable('golo_results', 'timestamp');
--
-- The role needs: GRANT INSERT ON golo_results TO golo;
--                 GRANT SELECT, INSERT, UPDATE ON golo_checkpoints TO golo;

CREATE TABLE golo_results (
    job text NOT NULL,              -- the id of the job
    run text NOT NULL,              -- of the run, which the jobs of a fleet share
    name text NOT NULL,             -- of the job
    agent text NOT NULL,
    ordinal bigint NOT NULL,        -- the number of the result in its job, from 0
    timestamp timestamptz NOT NULL,
    method text,
    url text,
    status bigint,
    duration bigint,                -- nanoseconds
    size bigint,                    -- bytes
    error text,                     -- NULL without an error; JSON if it was not a string
    sequence_id text,
    tags jsonb NOT NULL             -- of the job
);

CREATE INDEX ON golo_results (job, ordinal);
CREATE INDEX ON golo_results USING brin (timestamp);

-- How far the log of each job is stored: written in the transaction that stores the results, so
-- that each result is stored once. A row may be deleted when its job has been delivered.
CREATE TABLE golo_checkpoints (
    results_table text NOT NULL,
    job text NOT NULL,
    log_offset bigint NOT NULL,
    PRIMARY KEY (results_table, job)
);
