// SPDX-License-Identifier: Apache-2.0
// A testbench of @PREFIX@tetra_core, with a memory behind its bus: two jobs, and an interrupt.
//
// Job 0 is a ragged GEMM, C = A B^T of 5 x 7 x 9, INT4 to INT32; job 1 quantises C to INT4, finds
// the next scale and writes a report. It waits for job 0 by its barrier. Results are compared with
// what is computed here, all other bytes with what they were. Memory stalls at random, and no
// valid, ready or payload that is offered may be X.
//
// Plain Verilog-2005 but for $fatal. +dump writes before.hex and after.hex, +wave a core_tb.vcd.

module core_tb;
  `include "@PREFIX@tetra_core.vh"

  localparam M = 5, N = 7, K = 9;
  localparam SIZE = 2048;  // bytes of memory, from BASE on; the first are a ring of four
  localparam ADDRESS = @CONST@ADDRESS_WIDTH;  // bits
  localparam [63:0] BASE = 64'd1 << (ADDRESS - 1);
  localparam A_AT = 1024, A_STRIDE = 8, B_AT = 1088, B_STRIDE = 6;
  localparam C_AT = 1152, C_STRIDE = 32, Q_AT = 1313, Q_STRIDE = 5, REPORT_AT = 1344;
  localparam BEAT = @CONST@BUS_BYTES;
  localparam TIMEOUT = 100000;

  reg clk = 0, rst = 1;
  always #5 clk = ~clk;

  // The core.
  reg [11:0] s_awaddr = 0, s_araddr = 0;
  reg [31:0] s_wdata = 0;
  reg s_awvalid = 0, s_wvalid = 0, s_arvalid = 0;
  wire s_awready, s_wready, s_bvalid, s_arready, s_rvalid, irq;
  wire [31:0] s_rdata;
  wire [1:0] s_bresp, s_rresp;
  wire [ADDRESS-1:0] araddr, awaddr;
  wire [7:0] arlen, awlen;
  wire [2:0] arsize, awsize, arprot, awprot;
  wire [1:0] arburst, awburst;
  wire [3:0] arcache, awcache;
  wire arid, awid, arvalid, arready, awvalid, awready, rready, wvalid, wready, wlast, bready;
  wire [BEAT*8-1:0] wdata;
  wire [BEAT-1:0] wstrb;
  reg [BEAT*8-1:0] rdata;
  reg rvalid = 0, rlast = 0, bvalid = 0;

  @PREFIX@tetra_core core (
    .clk(clk), .rst(rst), .irq(irq),
    .s_axil_awaddr(s_awaddr), .s_axil_awprot(3'd0), .s_axil_awvalid(s_awvalid),
    .s_axil_awready(s_awready), .s_axil_wdata(s_wdata), .s_axil_wstrb(4'hF),
    .s_axil_wvalid(s_wvalid), .s_axil_wready(s_wready), .s_axil_bresp(s_bresp),
    .s_axil_bvalid(s_bvalid), .s_axil_bready(1'b1), .s_axil_araddr(s_araddr),
    .s_axil_arprot(3'd0), .s_axil_arvalid(s_arvalid), .s_axil_arready(s_arready),
    .s_axil_rdata(s_rdata), .s_axil_rresp(s_rresp), .s_axil_rvalid(s_rvalid),
    .s_axil_rready(1'b1),
    .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arsize(arsize), .m_axi_arburst(arburst),
    .m_axi_arid(arid), .m_axi_arprot(arprot), .m_axi_arcache(arcache), .m_axi_arvalid(arvalid),
    .m_axi_arready(arready), .m_axi_rdata(rdata), .m_axi_rresp(2'd0), .m_axi_rlast(rlast),
    .m_axi_rid(1'b0), .m_axi_rvalid(rvalid), .m_axi_rready(rready),
    .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awsize(awsize), .m_axi_awburst(awburst),
    .m_axi_awid(awid), .m_axi_awprot(awprot), .m_axi_awcache(awcache), .m_axi_awvalid(awvalid),
    .m_axi_awready(awready), .m_axi_wdata(wdata), .m_axi_wstrb(wstrb), .m_axi_wlast(wlast),
    .m_axi_wvalid(wvalid), .m_axi_wready(wready), .m_axi_bresp(2'd0), .m_axi_bid(1'b0),
    .m_axi_bvalid(bvalid), .m_axi_bready(bready)
  );

  // Memory: one burst of reads and one of writes at a time, each beat when the dice say so.
  reg [7:0] memory [0:SIZE-1];
  reg [31:0] noise = 7;  // a linear congruential generator: its upper bits are the good ones
  reg [8:0] reads = 0, writes = 0;  // beats that are left
  reg [63:0] read_at = 0, write_at = 0;  // from BASE on
  integer cycle = 0, lane;
  assign arready = reads == 0 && noise[31];
  assign awready = writes == 0 && !bvalid && noise[30];
  assign wready = writes != 0 && noise[29];

  always @(posedge clk) begin
    cycle <= cycle + 1;
    noise <= noise * 32'd1664525 + 32'd1013904223;
    if (cycle == TIMEOUT) fail("end", 0, 0, 1);
    if (rvalid && rready) rvalid <= 0;
    if (arvalid && arready) begin
      check_burst(araddr, arlen, arsize, arburst);
      reads <= arlen + 1;
      read_at <= (araddr - BASE) / BEAT * BEAT;
    end else if (reads != 0 && (!rvalid || rready) && noise[28]) begin
      for (lane = 0; lane < BEAT; lane = lane + 1)
        rdata[lane*8 +: 8] <= memory[read_at + lane];
      rvalid <= 1;
      rlast <= reads == 1;
      reads <= reads - 1;
      read_at <= read_at + BEAT;
    end
    if (bvalid && bready) bvalid <= 0;
    if (awvalid && awready) begin
      check_burst(awaddr, awlen, awsize, awburst);
      writes <= awlen + 1;
      write_at <= (awaddr - BASE) / BEAT * BEAT;
    end else if (wvalid && wready) begin
      for (lane = 0; lane < BEAT; lane = lane + 1)
        if (wstrb[lane]) memory[write_at + lane] = wdata[lane*8 +: 8];
      if (wlast !== (writes == 1)) fail("wlast", writes, wlast, writes == 1);
      if (wlast) bvalid <= 1;
      writes <= writes - 1;
      write_at <= write_at + BEAT;
    end
  end

  // No X where the other side looks. Bytes that are not written may be X.
  wire [10:0] control = {arvalid, awvalid, wvalid, rready, bready, s_awready, s_wready, s_bvalid,
                         s_arready, s_rvalid, irq};
  integer byte_;
  always @(posedge clk) if (!rst && cycle > 4) begin
    if (^control === 1'bx) fail("X in control", 0, control, 0);
    if (arvalid && ^{araddr, arlen, arsize, arburst, arid, arprot, arcache} === 1'bx)
      fail("X in ar", 0, 0, 0);
    if (awvalid && ^{awaddr, awlen, awsize, awburst, awid, awprot, awcache} === 1'bx)
      fail("X in aw", 0, 0, 0);
    if (wvalid && ^{wstrb, wlast} === 1'bx) fail("X in w", 0, 0, 0);
    for (byte_ = 0; byte_ < BEAT; byte_ = byte_ + 1)
      if (wvalid && wstrb[byte_] && ^wdata[byte_*8 +: 8] === 1'bx)
        fail("X in wdata", byte_, wdata[byte_*8 +: 8], 0);
    if (s_rvalid && ^{s_rdata, s_rresp} === 1'bx) fail("X in rdata", s_araddr, s_rdata, 0);
    if (s_bvalid && ^s_bresp === 1'bx) fail("X in bresp", 0, s_bresp, 0);
  end

  task check_burst(input [63:0] address, input [7:0] len, input [2:0] size, input [1:0] burst);
    if (address < BASE || address + (len + 1) * BEAT > BASE + SIZE + BEAT || burst !== 1
        || 1 << size != BEAT || address[11:0] / BEAT + len >= 4096 / BEAT) begin
      $display("FAIL: a burst of %0d beats at %h", len + 1, address);
      $fatal(1);
    end
  endtask

  // Registers.
  task put(input [11:0] address, input [31:0] value);
    reg a_taken, d_taken;
    begin
      s_awaddr <= address;
      s_wdata <= value;
      s_awvalid <= 1;
      s_wvalid <= 1;
      a_taken = 0;
      d_taken = 0;
      @(posedge clk);
      while (!a_taken || !d_taken) begin
        @(posedge clk);
        if (s_awvalid && s_awready) begin s_awvalid <= 0; a_taken = 1; end
        if (s_wvalid && s_wready) begin s_wvalid <= 0; d_taken = 1; end
      end
      while (!s_bvalid) @(posedge clk);
      if (s_bresp !== 0) fail("bresp of register", address, s_bresp, 0);
      @(posedge clk);
    end
  endtask

  task get(input [11:0] address, output [31:0] value);
    begin
      s_araddr <= address;
      s_arvalid <= 1;
      @(posedge clk);
      @(posedge clk);
      while (!s_arready) @(posedge clk);
      s_arvalid <= 0;
      while (!s_rvalid) @(posedge clk);
      value = s_rdata;
      if (s_rresp !== 0) fail("rresp of register", address, s_rresp, 0);
      @(posedge clk);
    end
  endtask

  task expect_register(input [11:0] address, input [31:0] wanted);
    reg [31:0] found;
    begin
      get(address, found);
      if (found !== wanted) fail("register", address, found, wanted);
    end
  endtask

  // Descriptors and operands. A field's place is a bit of the descriptor.
  task set(input integer job, input integer lsb, input integer width, input [63:0] value);
    integer i;
    for (i = 0; i < width; i = i + 1)
      memory[job * @CONST@DESCRIPTOR_BYTES + (lsb + i) / 8][(lsb + i) % 8] = value[i];
  endtask

  function signed [3:0] code(input integer at, input integer index);
    code = index % 2 ? memory[at + index / 2][7:4] : memory[at + index / 2][3:0];
  endfunction

  reg [7:0] wanted [0:SIZE-1];
  reg signed [31:0] sum, rounded;
  reg [31:0] random, count, status;
  integer row, col, step, at;
  initial begin
    random = 1;
    for (at = 0; at < SIZE; at = at + 1) begin
      random = random * 32'd1664525 + 32'd1013904223;
      memory[at] = at < 2 * @CONST@DESCRIPTOR_BYTES ? 0 : random[31:24];
    end
    for (row = 0; row < 2; row = row + 1) begin  // what both jobs have
      set(row, @CONST@DESCRIPTOR_VERSION_LSB, @CONST@DESCRIPTOR_VERSION_WIDTH, 1);
      set(row, @CONST@DESCRIPTOR_OP_LSB, @CONST@DESCRIPTOR_OP_WIDTH, row);  // GEMM 0, QUANTISE 1
      set(row, @CONST@DESCRIPTOR_M_LSB, @CONST@DESCRIPTOR_M_WIDTH, M);
      set(row, @CONST@DESCRIPTOR_N_LSB, @CONST@DESCRIPTOR_N_WIDTH, N);
      set(row, @CONST@DESCRIPTOR_BATCH_LSB, @CONST@DESCRIPTOR_BATCH_WIDTH, 1);
      set(row, @CONST@DESCRIPTOR_MULTIPLIER_LSB, @CONST@DESCRIPTOR_MULTIPLIER_WIDTH, 32768);
    end
    // job 0: INT32 with scale 1, which is 32768 * 2**-15
    set(0, @CONST@DESCRIPTOR_K_LSB, @CONST@DESCRIPTOR_K_WIDTH, K);
    set(0, @CONST@DESCRIPTOR_A_SIGNED_LSB, 1, 1);
    set(0, @CONST@DESCRIPTOR_SHIFT_LSB, @CONST@DESCRIPTOR_SHIFT_WIDTH, 15);
    set(0, @CONST@DESCRIPTOR_FORMAT_LSB, @CONST@DESCRIPTOR_FORMAT_WIDTH, 3);
    set(0, @CONST@DESCRIPTOR_A_ADDRESS_LSB, 64, BASE + A_AT);
    set(0, @CONST@DESCRIPTOR_A_STRIDE_LSB, 32, A_STRIDE);
    set(0, @CONST@DESCRIPTOR_B_ADDRESS_LSB, 64, BASE + B_AT);
    set(0, @CONST@DESCRIPTOR_B_STRIDE_LSB, 32, B_STRIDE);
    set(0, @CONST@DESCRIPTOR_C_ADDRESS_LSB, 64, BASE + C_AT);
    set(0, @CONST@DESCRIPTOR_C_STRIDE_LSB, 32, C_STRIDE);
    // job 1: INT4 with scale 1/8, behind job 0; entry 0 of the table gets the scale of the range
    set(1, @CONST@DESCRIPTOR_BARRIER_LSB, 1, 1);
    set(1, @CONST@DESCRIPTOR_INTERRUPT_LSB, 1, 1);
    set(1, @CONST@DESCRIPTOR_REPORT_LSB, 1, 1);
    set(1, @CONST@DESCRIPTOR_SHIFT_LSB, @CONST@DESCRIPTOR_SHIFT_WIDTH, 18);
    set(1, @CONST@DESCRIPTOR_ADAPT_ENABLE_LSB, 1, 1);
    set(1, @CONST@DESCRIPTOR_ADAPT_SOLVE_LSB, 1, 1);
    set(1, @CONST@DESCRIPTOR_X_ADDRESS_LSB, 64, BASE + C_AT);
    set(1, @CONST@DESCRIPTOR_X_STRIDE_LSB, 32, C_STRIDE);
    set(1, @CONST@DESCRIPTOR_C_ADDRESS_LSB, 64, BASE + Q_AT);
    set(1, @CONST@DESCRIPTOR_C_STRIDE_LSB, 32, Q_STRIDE);
    set(1, @CONST@DESCRIPTOR_REPORT_ADDRESS_LSB, 64, BASE + REPORT_AT);
    if ($test$plusargs("dump")) $writememh("before.hex", memory);
    if ($test$plusargs("wave")) begin
      $dumpfile("core_tb.vcd");
      $dumpvars(1, core_tb);
    end

    // What memory is to be in the end, but for the report.
    for (at = 0; at < SIZE; at = at + 1) wanted[at] = memory[at];
    for (row = 0; row < M; row = row + 1)
      for (col = 0; col < N; col = col + 1) begin
        sum = 0;
        for (step = 0; step < K; step = step + 1)
          sum = sum + code(A_AT + row * A_STRIDE, step) * code(B_AT + col * B_STRIDE, step);
        for (step = 0; step < 4; step = step + 1)
          wanted[C_AT + row * C_STRIDE + 4 * col + step] = sum[8*step +: 8];
        rounded = sum >>> 3;
        if (sum[2] && (sum[1:0] != 0 || sum[3])) rounded = rounded + 1;  // to nearest, ties to even
        rounded = rounded > 7 ? 7 : rounded < -8 ? -8 : rounded;
        at = Q_AT + row * Q_STRIDE + col / 2;
        if (col % 2) wanted[at][7:4] = rounded[3:0];
        else wanted[at] = rounded[3:0];  // the last one's upper half is written as 0
      end

    repeat (4) @(posedge clk);
    rst <= 0;
    repeat (2) @(posedge clk);
    expect_register(@CONST@REGISTER_ID, 32'h52544554);
    // Both windows are all of memory, the ring its first bytes.
    put(@CONST@REGISTER_READ_BASE_LOW, BASE[31:0]);
    put(@CONST@REGISTER_READ_BASE_HIGH, BASE[63:32]);
    put(@CONST@REGISTER_READ_LIMIT_LOW, BASE[31:0] + SIZE - 1);
    put(@CONST@REGISTER_READ_LIMIT_HIGH, BASE[63:32]);
    put(@CONST@REGISTER_WRITE_BASE_LOW, BASE[31:0]);
    put(@CONST@REGISTER_WRITE_BASE_HIGH, BASE[63:32]);
    put(@CONST@REGISTER_WRITE_LIMIT_LOW, BASE[31:0] + SIZE - 1);
    put(@CONST@REGISTER_WRITE_LIMIT_HIGH, BASE[63:32]);
    put(@CONST@REGISTER_RING_BASE_LOW, BASE[31:0]);
    put(@CONST@REGISTER_RING_BASE_HIGH, BASE[63:32]);
    put(@CONST@REGISTER_RING_SIZE, 2);  // four descriptors
    put(@CONST@REGISTER_INTERRUPT_ENABLE, 3);  // of jobs and of errors
    put(@CONST@REGISTER_CONTROL, 1);
    put(@CONST@REGISTER_RING_TAIL, 2);
    while (!irq) @(posedge clk);
    expect_register(@CONST@REGISTER_ERROR, @CONST@FAULT_NONE);
    status = 0;
    while (!status[0]) get(@CONST@REGISTER_STATUS, status);
    expect_register(@CONST@REGISTER_RING_HEAD, 2);
    put(@CONST@REGISTER_INTERRUPT_STATUS, 7);
    repeat (2) @(posedge clk);
    if (irq !== 0) fail("irq", 0, irq, 0);

    if ($test$plusargs("dump")) $writememh("after.hex", memory);
    for (at = 0; at < SIZE; at = at + 1)
      if ((at < REPORT_AT || at >= REPORT_AT + @CONST@REPORT_BYTES) && memory[at] !== wanted[at])
        fail("byte", at, memory[at], wanted[at]);
    at = REPORT_AT + @CONST@REPORT_WORDS_COUNT_LSB / 8;
    count = {memory[at+3], memory[at+2], memory[at+1], memory[at]};
    if (count !== M * N) fail("count of the report", at, count, M * N);
    $display("PASS: a GEMM of %0d x %0d x %0d and its quantisation in %0d cycles", M, N, K, cycle);
    $finish;
  end

  task fail(input [24*8-1:0] what, input integer where, input [31:0] found, input [31:0] wanted_);
    begin
      $display("FAIL in cycle %0d: %0s %0d is %h, expected %h", cycle, what, where, found, wanted_);
      $fatal(1);
    end
  endtask
endmodule
