// What `import-django-sso` tells people.

const MOST_LINES = 20;

/** @typedef {import("./django-sso-plan.mjs").Plan} Plan */
/** @typedef {import("./django-sso-plan.mjs").LeftOut} LeftOut */
/** @typedef {{ email: string, reason: string }} NeedsLink */
/**
 * What an import has done.
 * @typedef {object} Done
 * @property {{ created: number, existing: number }} users
 * @property {{ moved: number, existing: number }} passwords
 * @property {{ created: number, existing: number }} services
 * @property {NeedsLink[]} needs_link
 * @property {LeftOut[]} left_out
 * @property {LeftOut[]} failed
 */

/**
 * What would be moved.
 * @param {Plan} plan
 * @param {string} to The deployment.
 */
export function planText(plan, to) {
  const all = [`To ${to}:`, ""];
  all.push(`${many(plan.users, "user")} to move, ${plan.inactive} of them disabled. Those that are here already stay as they are.`);
  if (plan.madeUp > 0) all.push(`  ${plan.madeUp} without an address get one made of their username.`);
  for (const [algorithm, users] of plan.algorithms) all.push(`  passwords: ${algorithm}: ${users}`);
  if (plan.needsLink.size > 0) all.push(`  ${many(plan.needsLink.size, "user")} without a hash that can be moved: a link to set a password is needed.`);
  for (const [group, { role, members }] of plan.groups)
    all.push(`  group ${group}, ${many(members, "member")}: ${role === "" ? "no role" : `the role ${role}`}`);
  all.push("", `${many(plan.services.length, "service")} to move:`);
  for (const { name, base_url, dialect, enabled } of plan.services) {
    const isPlain = base_url.startsWith("http:");
    all.push(
      `  ${name}: ${base_url}, dialect ${dialect}${enabled ? "" : ", disabled"}${isPlain ? ": is not https, which only a gateway for development takes" : ""}`,
    );
  }
  if (plan.leftOut.length > 0) all.push("", `${plan.leftOut.length} left out:`, lines(plan.leftOut.map(leftOutText)));
  return `${all.join("\n")}\n`;
}

/** @type {(count: number, what: string) => string} */
const many = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
/** @param {LeftOut} one */
const leftOutText = ({ kind, name, reason }) => `${kind} ${name}: ${reason}`;
/**
 * @param {string[]} all
 * @param {number} [most]
 */
export const lines = (all, most = MOST_LINES) =>
  [...all.slice(0, most), ...(all.length > most ? [`… and ${all.length - most} more; --json lists all`] : [])].map((line) => `  ${line}`).join("\n");

/**
 * What was moved, and everything that was not.
 * @param {Done} done
 */
export function doneText({ users, passwords, services, needs_link, left_out, failed }) {
  const changed = users.created + passwords.moved + services.created;
  const all = [
    ...(changed === 0 ? ["Everything was here already; nothing was changed."] : []),
    `users: ${users.created} created, ${users.existing} here already`,
    `passwords: ${passwords.moved} moved, ${passwords.existing} here already`,
    `services: ${services.created} created, ${services.existing} here already`,
  ];
  const every = Number.POSITIVE_INFINITY;
  if (needs_link.length > 0) {
    all.push("", `${many(needs_link.length, "user")} to send a link to set a password: \`npm run admin -- user password-link <address>\``);
    all.push(
      lines(
        needs_link.map(({ email, reason }) => `${email}: ${reason}`),
        every,
      ),
    );
  }
  if (left_out.length > 0) all.push("", `${left_out.length} left out:`, lines(left_out.map(leftOutText), every));
  if (failed.length > 0) all.push("", `${failed.length} failed; run the command again:`, lines(failed.map(leftOutText), every));
  return all.join("\n");
}
