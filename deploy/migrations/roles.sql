-- Run once by PostgreSQL's administrator: the ledger's owner and the API's role. The passwords come from the environment.
\getenv ledger LEDGER
\getenv ledger_api LEDGER_API
CREATE ROLE cordon LOGIN PASSWORD :'ledger';
CREATE ROLE cordon_api LOGIN PASSWORD :'ledger_api';
CREATE DATABASE cordon OWNER cordon;
