// Packages without types of their own.

declare module "workerd" {
  /** `default` is the path of the program. */
  const workerd: { default: string };
  export default workerd;
}
