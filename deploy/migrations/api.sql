-- Run by the ledger's owner after each start that brought new tables: what the API's role may do (README.md).
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cordon_api;
GRANT INSERT, UPDATE ON decisions, tokens, chain TO cordon_api;
GRANT INSERT, UPDATE, DELETE ON legs TO cordon_api;
GRANT INSERT ON moves, evidence, symptoms, switch_turns, requests TO cordon_api;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO cordon_api;
