-- Run by the mysql image when its data folder is new: Sluice's own account, with
-- what `sluice check` asks for. The password is the one in sluice-password, for
-- this demo only.
CREATE USER sluice@'%' IDENTIFIED BY 'demo-only';
GRANT PROCESS, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO sluice@'%';
GRANT SELECT ON performance_schema.* TO sluice@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES ON `sluice`.* TO sluice@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES ON `sluice\_%`.* TO sluice@'%';
GRANT SELECT, INSERT, CREATE, DROP, ALTER, LOCK TABLES, TRIGGER ON *.* TO sluice@'%';

-- The demo's application may watch its migration.
CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY 'app';
GRANT SELECT ON sluice.* TO app@'%';
