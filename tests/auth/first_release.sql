-- What the first release made of a SQLite file.
CREATE TABLE accounts (
	account_id VARCHAR NOT NULL,
	tenant_id VARCHAR NOT NULL,
	email VARCHAR NOT NULL,
	display_name VARCHAR NOT NULL,
	roles JSON NOT NULL,
	PRIMARY KEY (account_id),
	UNIQUE (email)
);
CREATE TABLE api_keys (
	api_key_id VARCHAR NOT NULL,
	tenant_id VARCHAR NOT NULL,
	account_id VARCHAR NOT NULL,
	display_name VARCHAR NOT NULL,
	secret_prefix VARCHAR NOT NULL,
	secret_hash BLOB NOT NULL,
	expire_time DATETIME,
	revoke_time DATETIME,
	PRIMARY KEY (api_key_id),
	UNIQUE (secret_hash)
);
CREATE INDEX api_keys_listed ON api_keys (tenant_id, account_id, api_key_id);
CREATE TABLE credentials (
	account_id VARCHAR NOT NULL,
	password_hash VARCHAR NOT NULL,
	PRIMARY KEY (account_id)
);
CREATE TABLE periods (
	tenant_id VARCHAR NOT NULL,
	account_id VARCHAR NOT NULL,
	period VARCHAR NOT NULL,
	used_tokens BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, account_id, period)
);
CREATE TABLE reservations (
	reservation_id VARCHAR NOT NULL,
	tenant_id VARCHAR NOT NULL,
	account_id VARCHAR NOT NULL,
	period VARCHAR NOT NULL,
	model VARCHAR NOT NULL,
	tokens BIGINT NOT NULL,
	state VARCHAR NOT NULL,
	prompt_tokens BIGINT NOT NULL,
	completion_tokens BIGINT NOT NULL,
	start_time DATETIME NOT NULL,
	close_time DATETIME,
	PRIMARY KEY (reservation_id)
);
CREATE INDEX reservations_open ON reservations (tenant_id, account_id, period, state, start_time);
CREATE TABLE sessions (
	session_id VARCHAR NOT NULL,
	tenant_id VARCHAR NOT NULL,
	account_id VARCHAR NOT NULL,
	token_hash BLOB NOT NULL,
	refresh_time DATETIME NOT NULL,
	expire_time DATETIME NOT NULL,
	end_time DATETIME,
	PRIMARY KEY (session_id)
);
CREATE INDEX ix_sessions_expire_time ON sessions (expire_time);
CREATE TABLE sign_in_attempts (
	subject VARCHAR NOT NULL,
	attempts INTEGER NOT NULL,
	window_end DATETIME NOT NULL,
	PRIMARY KEY (subject)
);
CREATE INDEX ix_sign_in_attempts_window_end ON sign_in_attempts (window_end);
CREATE TABLE signing_keys (
	generation INTEGER NOT NULL,
	key_id VARCHAR NOT NULL,
	public_key BLOB NOT NULL,
	sealed_private_key VARCHAR NOT NULL,
	activate_time DATETIME NOT NULL,
	PRIMARY KEY (generation),
	UNIQUE (key_id)
);
PRAGMA user_version = 1;
