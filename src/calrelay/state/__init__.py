"""What calrelay remembers: tables, ledger, tokens and locks. The only room that imports SQLModel, SQLAlchemy and alembic."""
