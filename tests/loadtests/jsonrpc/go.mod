module jsonrpc

go 1.22
