// Sizes that are offered for a service; the API takes others, too.

export const SIZES = [8, 16, 32, 64, 128, 236, 356];
export const REPLICAS = [1, 2, 3, 4, 5, 6, 8, 10];
