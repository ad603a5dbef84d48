// Sends a file as the body of requests, and prints a line for each answer: its status, a space and
// its body; or "error: " and why there is none.
//
// Usage: node uploader.js URL FILE length|chunked TRIES [HEADER…]
"use strict";

const [url, file, mode, tries, ...lines] = process.argv.slice(2);
const { request } = require(url.startsWith("https:") ? "https" : "http");
const body = require("fs").readFileSync(file);
const headers = Object.fromEntries(lines.map((line) => line.split(": ")));
if (mode === "length") headers["Content-Length"] = body.length;

function upload() {
  return new Promise((done) => {
    const options = { method: "POST", headers, rejectUnauthorized: false };
    const sent = request(url, options, (answer) => {
      let text = "";
      answer.on("data", (data) => { text += data; });
      answer.on("error", (error) => done(`error: in the body: ${error.message}`));
      answer.on("end", () => done(`${answer.statusCode} ${text.trim()}`));
    });
    sent.on("error", (error) => done(`error: ${error.message}`));
    sent.end(body);
  });
}

(async () => {
  for (let left = Number(tries); left > 0; left -= 1) console.log(await upload());
})();
