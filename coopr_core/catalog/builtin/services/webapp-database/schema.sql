CREATE TABLE IF NOT EXISTS visits (
    server text PRIMARY KEY,
    count  bigint NOT NULL DEFAULT 0
);
