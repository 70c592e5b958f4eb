/** Stands in a request for a number that no other request has, with as many digits. */
export const NUMBER = "#NUMBER#";
