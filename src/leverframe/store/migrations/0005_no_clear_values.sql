-- What migration 4 set aside is sealed by now.

DROP TABLE kept_disclosures;
DROP TABLE kept_answers;

PRAGMA user_version = 5;
