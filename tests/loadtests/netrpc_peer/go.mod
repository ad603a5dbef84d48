module netrpcpeer

go 1.21
