"""What several readers share: text files, tables, histories, arrays, SQLite, TFRecord and protobuf."""
