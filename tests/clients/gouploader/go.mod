module gouploader

go 1.19
