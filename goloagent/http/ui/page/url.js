// Short texts for URLs that keep the part in which they differ.

const MIN_PREFIX = 12;
const HEAD_SHARE = 0.35;

/** Return the longest common beginning of all `urls` that ends with "/", or "" if it is short. */
export function commonPrefix(urls) {
  if (urls.length < 2) return "";
  let prefix = urls[0];
  for (const url of urls) {
    while (!url.startsWith(prefix)) prefix = prefix.slice(0, -1);
  }
  prefix = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  return prefix.length >= MIN_PREFIX ? prefix : "";
}

/** Replace the middle of a text longer than `length` characters by "…". */
export function cutMiddle(text, length) {
  if (text.length <= length) return text;
  const head = Math.floor((length - 1) * HEAD_SHARE);
  return `${text.slice(0, head)}…${text.slice(text.length - (length - 1 - head))}`;
}

/** Return a URL without the common `prefix`, at most `length` characters long. */
export function shortUrl(url, prefix, length) {
  const rest = prefix && url.startsWith(prefix) ? `/${url.slice(prefix.length)}` : url;
  return cutMiddle(rest, length);
}
