//! The operators: one file each, holding shape rule, gradient, CPU, GPU and the method that a user calls.

pub mod argmax;
pub mod assign;
pub mod cat;
pub mod classification;
pub mod composed;
pub mod cross_entropy;
pub mod cumsum;
pub mod detach;
pub mod gather;
pub mod leaf;
pub mod map;
pub mod matmul;
pub mod pack;
pub mod pad;
pub mod random;
pub mod reduce;
pub mod reduction;
pub mod rows;
pub mod scatter_add;
pub mod softmax;
pub mod view;
