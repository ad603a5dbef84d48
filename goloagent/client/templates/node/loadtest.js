#!/usr/bin/env node
// A load test in Node.js, without packages: each journey of a user is one GET.
// The job has "drive": "jsonrpc".
"use strict";
const http = require("node:http");
const https = require("node:https");
const net = require("node:net");
const readline = require("node:readline");

const url = process.env.TARGET || "http://127.0.0.1:8000/";
const client = url.startsWith("https:") ? https : http;
// Each user keeps a connection open.
const agent = new client.Agent({ keepAlive: true });
let journeys = 0;

// One journey of one user. It is called repeatedly and concurrently. A failed request is reported
// too, and fails the call.
async function run() {
  const sequenceID = String(++journeys);
  let status = 0, size = -1, error = null;
  const start = performance.now();
  try {
    ({ status, size } = await get());
  } catch (failure) {
    error = failure.message || failure.code;
  }
  const duration = Math.round((performance.now() - start) * 1e6); // nanoseconds
  report({ sequenceID, url, method: "GET", status, size, timestamp: new Date(), duration, error });
  if (error) throw new Error(error);
  if (status >= 400) throw new Error(`GET ${url}: status ${status}`);
}

function get() {
  return new Promise((resolve, reject) => {
    const request = client.get(url, { agent, timeout: 30_000 }, (response) => {
      let size = 0;
      response.on("data", (chunk) => { size += chunk.length; });
      response.on("end", () => resolve({ status: response.statusCode, size }));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error("no response within 30 s")));
    request.on("error", reject);
  });
}

// Prints one line of JSON; a Date is written as JSON in RFC 3339.
function report(result) {
  process.stdout.write(JSON.stringify(result) + "\n");
}

const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(process.env.GOLO_RPC_ADDR || "127.0.0.1:9999");
net.createServer({ noDelay: true }, (connection) => {
  const reply = (id, error) => connection.write(JSON.stringify({ id, result: {}, error }) + "\n");
  readline.createInterface({ input: connection }).on("line", (line) => {
    const { id } = JSON.parse(line);
    run().then(() => reply(id, null), (failure) => reply(id, failure.message));
  });
}).listen(port, host);
