-- When nobody wants the head any more, so that a head can be woken without its lane's document.
ALTER TABLE lanes ADD COLUMN deadline INTEGER;
UPDATE lanes SET deadline = json_extract(doc, '$.entries[0].deadline');
