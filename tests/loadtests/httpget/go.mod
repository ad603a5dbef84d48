module httpget

go 1.22
