// SPDX-License-Identifier: Apache-2.0
// A testbench of @PREFIX@tetra_engine: one ragged GEMM, 5 x 7 x 9, INT4 x INT4 -> INT32.
//
// Every stream stalls at random, every result is compared with a sum that is computed here. Plain
// Verilog-2005 but for $fatal, by which the simulator's exit status tells what happened.

module gemm_tb;
  `include "@PREFIX@tetra_config.vh"

  localparam M = 5, N = 7, K = 9;
  localparam BLOCKS_DOWN = (M + @CONST@ROWS - 1) / @CONST@ROWS;
  localparam BLOCKS_RIGHT = (N + @CONST@COLS - 1) / @CONST@COLS;
  localparam BEATS = (K + @CONST@LANES - 1) / @CONST@LANES;  // of each operand, per block
  localparam ALL_BEATS = BLOCKS_DOWN * BLOCKS_RIGHT * BEATS;
  localparam ALL_RESULTS = M * BLOCKS_RIGHT;  // result rows of the job
  localparam TIMEOUT = 100000;

  reg clk = 0, rst = 1;
  always #5 clk = ~clk;

  // Operands and expected sums; code [r * K + k] is INT4, two's complement.
  reg [3:0] a [0:M*K-1];
  reg [3:0] b [0:N*K-1];
  reg signed [31:0] expected [0:M*N-1];
  reg [31:0] random = 1;  // a linear congruential generator: its upper bits are the good ones
  integer row, col, step;

  function [31:0] after(input [31:0] number);
    after = number * 32'd1664525 + 32'd1013904223;
  endfunction

  initial begin
    for (row = 0; row < M * K; row = row + 1) begin
      random = after(random);
      a[row] = random[31:28];
    end
    for (row = 0; row < N * K; row = row + 1) begin
      random = after(random);
      b[row] = random[31:28];
    end
    for (row = 0; row < M; row = row + 1)
      for (col = 0; col < N; col = col + 1) begin
        expected[row * N + col] = 0;
        for (step = 0; step < K; step = step + 1)
          expected[row * N + col] = expected[row * N + col]
            + $signed(a[row * K + step]) * $signed(b[col * K + step]);
      end
  end

  // A beat: `LANES` codes of every row (or column) of a block, lane 0 of row 0 lowest. What
  // lies beyond M, N and K is ignored; here it is 4'h9.
  function [@CONST@ROWS*@CONST@LANES*4-1:0] a_beat(input integer number);
    integer first, k, r, l;
    begin
      a_beat = {@CONST@ROWS * @CONST@LANES{4'h9}};
      first = number / BEATS / BLOCKS_RIGHT * @CONST@ROWS;
      for (r = 0; r < @CONST@ROWS; r = r + 1)
        for (l = 0; l < @CONST@LANES; l = l + 1) begin
          k = number % BEATS * @CONST@LANES + l;
          if (first + r < M && k < K)
            a_beat[(r * @CONST@LANES + l) * 4 +: 4] = a[(first + r) * K + k];
        end
    end
  endfunction

  function [@CONST@COLS*@CONST@LANES*4-1:0] b_beat(input integer number);
    integer first, k, c, l;
    begin
      b_beat = {@CONST@COLS * @CONST@LANES{4'h9}};
      first = number / BEATS % BLOCKS_RIGHT * @CONST@COLS;
      for (c = 0; c < @CONST@COLS; c = c + 1)
        for (l = 0; l < @CONST@LANES; l = l + 1) begin
          k = number % BEATS * @CONST@LANES + l;
          if (first + c < N && k < K)
            b_beat[(c * @CONST@LANES + l) * 4 +: 4] = b[(first + c) * K + k];
        end
    end
  endfunction

  // The engine, with a port per field or with payloads as vectors.
  reg job_valid = 0, a_valid = 0, b_valid = 0, result_ready = 0;
  wire job_ready, a_ready, b_ready, result_valid;
  reg [@CONST@ROWS*@CONST@LANES*4-1:0] a_payload;
  reg [@CONST@COLS*@CONST@LANES*4-1:0] b_payload;
  wire [@CONST@COLS*32-1:0] data;
  wire [@CONST@COLS-1:0] keep;
  wire last, overflow, bad_job;

`ifdef PORTS_packed
  reg [@CONST@JOB_BITS-1:0] job;
  wire [@CONST@RESULT_BITS-1:0] result;
  wire [@CONST@FLAGS_BITS-1:0] flags;
  initial begin
    job = 0;  // no bias, no mask, no adaptive scale, rounding to nearest
    job[@CONST@JOB_OP_LSB +: @CONST@JOB_OP_WIDTH] = @CONST@OP_GEMM;
    job[@CONST@JOB_M_LSB +: @CONST@JOB_M_WIDTH] = M;
    job[@CONST@JOB_N_LSB +: @CONST@JOB_N_WIDTH] = N;
    job[@CONST@JOB_K_LSB +: @CONST@JOB_K_WIDTH] = K;
    job[@CONST@JOB_A_SIGNED_LSB] = 1;
    job[@CONST@JOB_B_FORMAT_LSB +: @CONST@JOB_B_FORMAT_WIDTH] = @CONST@B_FORMAT_INT4;
    job[@CONST@JOB_PARAMS_FORMAT_LSB +: @CONST@JOB_PARAMS_FORMAT_WIDTH] = @CONST@FORMAT_INT32;
    // the scale 1 is 32768 * 2**-15: INT32 results are the sums themselves
    job[@CONST@JOB_PARAMS_MULTIPLIER_LSB +: @CONST@JOB_PARAMS_MULTIPLIER_WIDTH] = 32768;
    job[@CONST@JOB_PARAMS_SHIFT_LSB +: @CONST@JOB_PARAMS_SHIFT_WIDTH] = 15;
  end
  assign data = result[@CONST@RESULT_DATA_LSB +: @CONST@RESULT_DATA_WIDTH];
  assign keep = result[@CONST@RESULT_TAG_KEEP_LSB +: @CONST@RESULT_TAG_KEEP_WIDTH];
  assign last = result[@CONST@RESULT_TAG_LAST_LSB];
  assign overflow = flags[@CONST@FLAGS_OVERFLOW_LSB];
  assign bad_job = flags[@CONST@FLAGS_BAD_JOB_LSB];
`else
  wire [@CONST@JOB_OP_WIDTH-1:0] op = @CONST@OP_GEMM;
  wire [@CONST@JOB_M_WIDTH-1:0] m = M, n = N, k = K;
  wire [@CONST@JOB_B_FORMAT_WIDTH-1:0] b_format = @CONST@B_FORMAT_INT4;
  wire [@CONST@JOB_PARAMS_FORMAT_WIDTH-1:0] format = @CONST@FORMAT_INT32;
`endif

  @PREFIX@tetra_engine engine (
    .clk(clk), .rst(rst), .clear(1'b0),
    .job_valid(job_valid), .job_ready(job_ready),
    .a_valid(a_valid), .a_ready(a_ready), .a_payload(a_payload),
    .b_valid(b_valid), .b_ready(b_ready), .b_payload(b_payload),
    .x_valid(1'b0), .x_payload({@CONST@COLS{32'd0}}),
    .bias_valid(1'b0), .bias_payload({@CONST@COLS{32'd0}}),
    .mask_valid(1'b0), .mask_payload({@CONST@COLS{1'b0}}),
    .result_valid(result_valid), .result_ready(result_ready), .report_ready(1'b1),
`ifdef PORTS_packed
    .job_payload(job), .result_payload(result), .flags(flags)
`else
    .job_op(op), .job_m(m), .job_n(n), .job_k(k), .job_a_signed(1'b1), .job_b_format(b_format),
    .job_bias(1'b0), .job_mask(1'b0), .job_strips(1'b0),
    // the scale 1 is 32768 * 2**-15: INT32 results are the sums themselves
    .job_params_format(format), .job_params_multiplier(16'd32768), .job_params_shift(6'd15),
    .job_params_zero_point(16'sd0), .job_params_stochastic(1'b0), .job_params_seed(32'd0),
    .job_adapt_enable(1'b0), .job_adapt_tensor(8'd0), .job_adapt_use(2'd0),
    .job_adapt_solve(1'b0), .job_adapt_mode(3'd0), .job_adapt_alpha(32'd0),
    .job_adapt_exponent(7'sd0), .job_adapt_preset(1'b0), .job_adapt_valid(1'b0),
    .job_adapt_frozen(1'b0), .job_adapt_discard(1'b0),
    .result_data(data), .result_tag_keep(keep), .result_tag_last(last),
    .flags_overflow(overflow), .flags_bad_job(bad_job)
`endif
  );

  // The streams. A master that has raised valid holds it, and its payload, until ready.
  reg [31:0] noise = 7;
  integer cycle = 0, a_next = 0, b_next = 0, results = 0;
  always @(posedge clk) begin
    cycle <= cycle + 1;
    noise <= after(noise);
    rst <= cycle < 2;
    if (cycle == 3) job_valid <= 1;
    else if (job_ready) job_valid <= 0;
    if (cycle > 3 && (!a_valid || a_ready)) begin
      a_valid <= a_next < ALL_BEATS && noise[31];
      a_payload <= a_beat(a_next);
      if (a_next < ALL_BEATS && noise[31]) a_next <= a_next + 1;
    end
    if (cycle > 3 && (!b_valid || b_ready)) begin
      b_valid <= b_next < ALL_BEATS && noise[29];
      b_payload <= b_beat(b_next);
      if (b_next < ALL_BEATS && noise[29]) b_next <= b_next + 1;
    end
    result_ready <= noise[27];
  end

  // Results: row after row of a block, blocks row of blocks by row of blocks.
  integer m_at = 0, block_row = 0, block_col = 0, finished = 0, i;
  always @(posedge clk) begin
    if (!rst && result_valid && result_ready) begin
      for (i = 0; i < @CONST@COLS; i = i + 1) begin
        if (keep[i] !== (block_col + i < N))
          fail("keep", m_at, block_col + i, keep[i], block_col + i < N);
        if (block_col + i < N && data[i*32 +: 32] !== expected[m_at * N + block_col + i])
          fail("result", m_at, block_col + i, data[i*32 +: 32],
               expected[m_at * N + block_col + i]);
      end
      if (last !== (results + 1 == ALL_RESULTS))
        fail("last", m_at, block_col, last, results + 1 == ALL_RESULTS);
      results <= results + 1;
      if (m_at + 1 < M && m_at + 1 < block_row + @CONST@ROWS)
        m_at <= m_at + 1;
      else if (block_col + @CONST@COLS < N) begin
        m_at <= block_row;
        block_col <= block_col + @CONST@COLS;
      end else begin
        m_at <= block_row + @CONST@ROWS;
        block_row <= block_row + @CONST@ROWS;
        block_col <= 0;
      end
    end
    // some cycles more, in which nothing may come
    if (results >= ALL_RESULTS) finished <= finished + 1;
    if (finished == 50) begin
      if (results != ALL_RESULTS || overflow !== 0 || bad_job !== 0 || a_valid || b_valid) begin
        $display("FAIL: %0d result rows of %0d, overflow %b, bad_job %b, operands left %b %b",
                 results, ALL_RESULTS, overflow, bad_job, a_valid, b_valid);
        $fatal(1);
      end
      $display("PASS: %0d result rows of a GEMM of %0d x %0d x %0d in %0d cycles", results, M, N,
               K, cycle - finished);
      $finish;
    end
    if (cycle == TIMEOUT) begin
      $display("FAIL: %0d result rows of %0d after %0d cycles", results, ALL_RESULTS, cycle);
      $fatal(1);
    end
  end

  task fail(input [8*8-1:0] what, input integer m_, n_, found, wanted);
    begin
      $display("FAIL: %0s of row %0d, column %0d is %0d, expected %0d", what, m_, n_, found, wanted);
      $fatal(1);
    end
  endtask
endmodule
