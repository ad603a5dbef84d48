// The part of the address after "#": the chosen job, and the page and filters of the history.

const IS_ID = /^[0-9a-zA-Z-]+$/;
const PARAMETERS = ["page", "state", "name"];

/** Parse a hash such as "#<id>&page=2&name=shop"; unknown parts are ignored. */
export function parseAddress(hash) {
  const [first, ...rest] = hash.replace(/^#/, "").split("&");
  const isId = IS_ID.test(first) && first !== "job";
  const parameters = new URLSearchParams((isId ? rest : [first, ...rest]).join("&"));
  const page = Number(parameters.get("page"));
  return {
    id: isId ? first : "",
    page: Number.isSafeInteger(page) && page > 0 ? page : 1,
    state: parameters.get("state") ?? "",
    name: parameters.get("name") ?? "",
  };
}

/** Write an address as a hash; the first page and empty filters are omitted. */
export function formatAddress(address) {
  const set = PARAMETERS.filter((name) => address[name] && !(name === "page" && address.page === 1));
  const parameters = new URLSearchParams(set.map((name) => [name, address[name]])).toString();
  return `#${[address.id, parameters].filter(Boolean).join("&")}`;
}

/** Return the hash of the current address with some members replaced. */
export function addressWith(changes) {
  return formatAddress({ ...parseAddress(location.hash), ...changes });
}
