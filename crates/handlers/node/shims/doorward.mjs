// What handlers import to ask Doorward; see `doorward:asking`.
export { Unavailable, identify, once } from "doorward:asking";
