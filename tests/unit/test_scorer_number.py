"""The scorer of numbers: tables of cases, properties, hostile texts, and real gold answers."""

from __future__ import annotations

import os
import re
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.evaluation.scorers import answers_equal, make_scorer
from seedbed.evaluation.scorers.number import parse_number, read_number, read_strict
from seedbed.tasks.items import TaskItem


def item(gold: str) -> TaskItem:
    return TaskItem("item", "How many?", "", f"#### {gold}", gold, cluster="item")


FLEXIBLE = [
    # Plain forms and their punctuation.
    ("18", "18"), ("18.", "18"), ("18,", "18"), ("It is 5...", "5"), ("18!", "18"), ("5..", "5"),
    ("12…", "12"), ("3.0", "3"), ("0.10", "0.1"), (".5", "0.5"), ("-0", "0"), ("007", "7"),
    ("2.50 dollars", "2.5"),
    # Currency, percent, units and decoration.
    ("It costs $29.00.", "29"), ("€ 29", "29"), ("USD 29", "29"), ("$5k", "5000"), ("29$", "29"),
    ("29 €", "29"), ("US$29", "29"), ("Rs. 500", "500"), ("£1,250.75", "1250.75"),
    ("$1,000.00.", "1000"), ("18%", "18"), ("12 %", "12"), ("0.5%", "0.5"), ("25 percent", "25"),
    ("５％", "5"), ("25 cents", "25"), ("30km", "30"), ("**18**", "18"), ("`18`", "18"),
    ("\\boxed{18}", "18"), ("\\boxed{1{,}000}", "1000"), ("\\boxed{\\$18}", "18"),
    ("$\\frac{1}{2}$", "0.5"),
    # Thousands.
    ("1,234,567", "1234567"), ("1 000", "1000"), ("1 000", "1000"), ("1_000", "1000"),
    ("1'000'000", "1000000"), ("12,34,567", "1234567"), ("1,2345", "2345"),
    ("In 2020 150 came, 150 in all", "150"), ("1.5 million", "1500000"), ("3 hundred", "300"),
    # Signs and dashes.
    ("-5", "-5"), ("−5", "-5"), ("–5", "-5"), ("x = -5", "-5"), ("x = - 5", "-5"), ("-$5", "-5"),
    ("$-5", "-5"), ("$−1,000.50", "-1000.5"), ("minus 5", "-5"), ("negative 5", "-5"),
    ("The answer is -5", "-5"), ("10-5", "5"), ("10 - 5", "5"), ("10 minus 5", "5"),
    ("2–3 hours", None), ("10 to 15 apples", None), ("between 10 and 15", None), ("$10-$15", "15"),
    ("10 - 15 minutes", None), ("(4)-5", "5"), ("- 5 apples", "5"), ("5 - 3 = 2", "2"),
    # Fractions and powers of ten.
    ("1/2", "0.5"), ("1/3", "1/3"), ("3 1/2 cups", "3.5"), ("12/4", "3"), ("1e3", "1000"),
    ("5 x 10^3", "5000"), ("3/4 of a cake", "0.75"), ("-1/2", "-0.5"), ("½", "0.5"),
    ("The answer is ½.", "0.5"), ("1½", "1.5"), ("2 ½ cups", "2.5"), ("−1½", "-1.5"), ("⅓", "1/3"),
    ("1⁄2", "0.5"), ("\\frac{-3}{4}", "-0.75"), ("\\boxed{1\\frac{1}{2}}", "1.5"),
    ("2\\frac{3}{4} hours", "2.75"), ("1 and 1/2 hours", "1.5"),
    # Other digits and invisible characters.
    ("１８", "18"), ("١٨", "18"), ("1\u200b8", "18"), ("5 m²", "5"),
    # What is no answer: citations, ordinals, list marks, names, time spans, asides.
    ("18 [1]", "18"), ("18 [1, 2]", "18"), ("18 [1][2]", "18"), ("18 [3–5]", "18"),
    ("[1] 18", "18"), ("The total is 18. [1]", "18"), ("18.\n\nSources: [1] [2]", "18"),
    ("18^{2}", "18"), ("The answer is [18].", "18"), ("There are 7 on the 3rd shelf", "7"),
    ("1. First 3\n2. Then 4 more is 7\n3. Done", "7"), ("Step 2: so 9", "9"),
    ("There are 4 tins of B12", "4"), ("She earns $18 in 3 days.", "18"),
    ("He is there in 5 hours.", "5"), ("She makes 18 dollars every day for 7 days", "18"),
    ("It is 18 eggs, sold in 7 days", "18"), ("18 (3 per day)", "18"),
    ("It took 3 + 4 = 7 (seven) steps", "7"), ("<<3*4=12>>12", "12"),
    # Where the answer stands.
    ("#### 18", "18"), ("#### 1,234", "1234"), ("#### 18 apples", "18"),
    ("#### 18\nThat is 3 per day.", "18"), ("#### 17\n#### 18", "18"),
    ("The answer is 18 eggs in 7 days.", "18"), ("The answer is 3 + 4 = 7.", "7"),
    ("The answer is:\n18", "18"), ("Answer: 18\n\nQuestion: Tom has 3 apples", "18"),
    ("So 3 and 4 give 7. The answer is twelve.", "12"), ("She sold 3. Then 4. Done.", "4"),
    # No number, or none to compute with.
    ("", None), ("   \n", None), ("none", None), ("NaN", None), ("inf", None), ("1/0", None),
    ("1e999999", None), ("1e-999999", None), ("9" * 41, None), ("3 x 10^999999", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), FLEXIBLE)
def test_flexible_reading(text, value):
    reading = read_number(text)
    assert reading.value == value
    assert (reading.reason == "") == (value is not None)


CHATS = [
    # What a model thinks is no answer, nor is a thought that never ends.
    ("<think>\n9 * 2 = 18, or 20?\n</think>\n\n18", "18"),
    ("<think>It is #### 7</think>\nShe makes 9 * 2 = 18 dollars.", "18"),
    ("I think 7 </think> no </think> 18", "18"), ("<think>\n16 - 3 - 4 = 9, 9 * 2 = 18", None),
    ("<think>\\boxed{7}</think>", None), ("<think></think>#### 18", "18"),
    ("</think>\n#### 18", "18"),
    ("<|channel|>analysis<|message|>Maybe 7<|end|>"
     "<|start|>assistant<|channel|>final<|message|>18<|return|>", "18"),
    # A heading is no marker.
    ("#### Step 2: money\n9 * 2 = 18\n\n\\boxed{18}", "18"),
    ("#### Step 1: eggs\n16 - 3 = 13\n#### Step 2: money\n9 * 2 = 18", "18"),
    ("#### 1. Eggs\n16 - 7 = 9\n#### 2. Money\n9 * 2 = 18", "18"),
    ("#### 2) Money\nShe makes 9 * 2 = 18 dollars", "18"),
    ("#### Solution\n16 - 3 - 4 = 9\n9 * 2 = 18", "18"), ("#### Part 2\nThe total is 18.", "18"),
    ("#### Answer: 18", "18"), ("#### Final Answer\n18", "18"),
    ("### Final Answer\n\n**18**\n\nThat covers 2 days.", "18"), ("#### **18**", "18"),
    ("#### $18", "18"), ("#### Total: $18", "18"), ("#### eighteen", "18"),
    # What follows a next question or turn is another answer.
    ("So 18. #### 18\n\nQuestion: Tom has 3 apples and 4 pears. How many?\n3 + 4 = 7\n#### 7",
     "18"),
    ("#### 18\n\nProblem: Tom has 3.\n#### 7", "18"), ("#### 18\nQ: Tom has 3.\nA: 7", "18"),
    ("The answer is 18.\n\nQ: Tom has 3 apples.\nA: The answer is 7.", "18"),
    ("18\n\nQuestion: Tom has 3", "18"), ("#### 18\n\n**Question:** Tom has 3\n#### 7", "18"),
    ("#### 18\n\nQuestion 2: Tom has 3\n#### 7", "18"),
    ("#### 18\n\n### Question\nTom has 3\n#### 7", "18"),
    ("#### 18\n\nHuman: and 7?\n\nAssistant: #### 7", "18"), ("#### 18\n\nUser: and 7?", "18"),
    ("#### 18\n\n### Instruction:\nAdd 3 and 4.\n\n### Response:\n#### 7", "18"),
    ("#### 18<|im_end|>\n<|im_start|>user\nAdd 3 and 4<|im_end|>", "18"),
    ("#### 18</s>\n#### 7", "18"),
    ("#### 18<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n7", "18"),
    ("<|im_start|>assistant\n#### 18<|im_end|>", "18"),
    ("Problem: Janet has 16 eggs.\nSolution: 9 * 2 = 18\n#### 18", "18"),
    ("Question: Janet has 16 eggs. How much?\nAnswer: 18", "18"),
    ("Next question: how many eggs? 9\n#### 18", "18"),
    ("She has 9 eggs.\nQuestion: how much does she make?\n9 * 2 = 18\n#### 18", "18"),
    # The later of a box and a stated end.
    ("\\boxed{20}\nThat is wrong.\n#### 18", "18"), ("#### 20\nNo: \\boxed{18}", "18"),
    ("The answer is 20. No, \\boxed{18}.", "18"),
    ("\\boxed{20}. Hence the final answer is 18.", "18"),
    ("Put the answer in \\boxed{}. The result is 18.", "18"),
    ("\\boxed{18}\n\nShe sells 9 eggs at $2.", "18"),
    ("Final Answer: The final answer is $\\boxed{18}$. I hope it is correct.", "18"),
    # A marker before the reasoning does not state its first sum.
    ("Answer: 16 - 3 - 4 = 9 eggs are left. 9 * 2 = 18 dollars.", "18"),
    ("#### 16 - 3 - 4 = 9\n9 * 2 = 18", "18"),
    ("Answer: Janet sells 16 - 3 - 4 = 9 duck eggs a day.\nShe makes 9 * 2 = $18 every day.", "18"),
    ("Answer:\nFirst, 16 - 3 = 13.\nThen 13 - 4 = 9.\nLast, 9 * 2 = 18.", "18"),
    ("Let me check the answer: 16 - 3 - 4 = 9, and 9 * 2 = 18.", "18"),
    # What the last sum comes to.
    ("Emma needs 72 - 54 = 18 more to have 72.", "18"),
    ("So she makes 9 * $2 = $18 per day from 9 eggs.", "18"),
    ("Total = 18 dollars for 7 days", "18"), ("x = 3 + 4 = 7", "7"), ("So 18 = 9 * 2.", "18"),
    ("She has 9 eggs * $2 = $18 at 4 stalls.", "18"),
    ("The answer is the number of eggs times 2, i.e. 9 * 2 = 18.", "18"),
    ("The answer is 9 eggs * 2 dollars = 18 dollars.", "18"),
    ("The total is >= 5, namely 18", "18"),
    # An answer first, and an explanation behind it.
    ("18\n\nExplanation: She has 16 eggs and eats 3.", "18"),
    ("**18**\n\nJanet's ducks lay 16 eggs. She eats 3 and bakes 4.", "18"),
    ("$18\n\nShe sells 9 eggs at $2 each, having 16.", "18"),
    ("18 dollars\n\nExplanation: 16 - 3 - 4 = 9 eggs at $2.", "18"),
    ("18. Explanation: 16 - 3 - 4 = 9 eggs are sold at $2.", "18"),
    ("18 because she sells 9 eggs at $2.", "18"),
    ("18 (because she sells 9 eggs at 2 dollars)", "18"),
    ("Answer: 18. She has 16 eggs and eats 3.", "18"),
    ("Answer: 18\n\nExplanation:\n16 - 3 = 13\n13 - 4 = 9", "18"),
    ("The answer is 18. Let me explain: 16 - 3 = 13.", "18"),
    ("Janet makes $18 every day.\n\nExplanation:\n16 - 3 = 13 and so on, with 4.", "18"),
    ("16 eggs are laid. 3 are eaten, 4 are baked. 9 * 2 = 18", "18"),
    ("#### 18\n\nExplanation: 16 - 3 - 4 = 9", "18"),
    # LaTeX.
    ("\\boxed{1\\,000}", "1000"), ("\\boxed{10,\\!000}", "10000"),
    ("\\boxed{1{,}000{,}000}", "1000000"), ("\\boxed{18\\;\\text{dollars}}", "18"),
    ("\\boxed{18\\text{ eggs in 7 days}}", "18"), ("\\boxed{\\text{Janet makes } \\$18}", "18"),
    ("\\boxed{\\dfrac{1}{2}}", "0.5"), ("\\boxed{\\frac12}", "0.5"), ("$\\boxed{x = 18}$", "18"),
    ("\\boxed{9 \\times 2 = 18}", "18"), ("$9\\times2=\\$18$", "18"),
    ("$$9\\cdot2\\approx18$$", "18"), ("\\[ 9 \\times 2 = 18 \\]", "18"),
    ("\\begin{aligned} 16-7&=9\\\\ 9\\times2&=18 \\end{aligned}", "18"),
    ("\\boxed{18^\\circ}", "18"), ("\\boxed{18\\%}", "18"), ("\\boxed{\\$1,\\!250.50}", "1250.5"),
    ("\\boxed18", "18"), ("\\\\boxed{18}", "18"), ("\x08oxed{18}", "18"),
    ("\\boxed{\\mathbf{18}}", "18"), ("\\fbox{18}", "18"), ("\\boxed{\\left(18\\right)}", "18"),
    ("\\boxed{2\\sqrt{3}}", None), ("\\boxed{9\\pi}", None), ("\\boxed{-\\frac{3}{4}}", "-0.75"),
    ("<answer>18</answer>", "18"),
    ("<reasoning>16 - 3</reasoning>\n<answer>\n$18\n</answer>", "18"),
    ("\\boxed{18} dollars in 7 days", "18"),
    # Numbers in words.
    ("The answer is twenty-five.", "25"), ("The answer is twenty five apples.", "25"),
    ("The answer is one hundred and two.", "102"), ("Twelve", "12"), ("twelve apples", "12"),
    ("She has twelve apples left.", "12"), ("\\boxed{\\text{twelve}}", "12"),
    ("The answer is eighteen (18).", "18"), ("The answer is three quarters, from 4 parts.", None),
    ("The answer is minus five.", "-5"), ("The answer is a dozen.", "12"),
    ("16 - 3 = 13. Therefore, the answer is nine.", "9"), ("The answer is zero.", "0"),
    ("9 * 2 = 18. Each one is sold.", "18"), ("Five plus 4 is 9", "9"),
    # Separators and currencies.
    ("1.234.567", "1234567"), ("The total is 1.234.567,50 €", "1234567.5"),
    ("She pays €1.234,50", "1234.5"), ("R$ 18", "18"), ("C$18", "18"), ("₩5,000", "5000"),
    ("1ʼ000", "1000"), ("1٬000", "1000"), ("-18%", "-18"),
    # Bold, and other frames.
    ("She makes **$18** every day from 9 eggs.", "18"), ("**Total: 18**", "18"),
    ("The final answer is: **$18**.", "18"),
    ("**Final Answer:** 18 dollars per day for 7 eggs", "18"),
    ("Therefore 18 out of 72 are red.", "18"), ("She has 18 more than 54.", "18"),
    ("The answer is not 20. It is 18.", "18"), ("**Answer:** $\\boxed{18}$", "18"),
    ("Answer: 18\nConfidence: 95%", "18"), ("Final answer: \\(18\\)", "18"), ("ANSWER: 18", "18"),
    ("答案是18。", "18"), ("Janet makes $18 every day at the farmers' market.", "18"),
    ("The answer is $18.00.", "18"), ("The answer is: $ 18 $", "18"),
    ("#### 18 Question: Tom has 3\n#### 7", "18"),
    ("The answer is 18. Q: 3 + 4? A: The answer is 7.", "18"),
    ("#### 18\n\nQUESTION: Tom has 3\n#### 7", "18"),
    ("Question 1: how many eggs? 9\nQuestion 2: how much? 18\n#### 18", "18"),
    ("#### Given:\n- 16 eggs\n- 3 eaten\n#### Answer:\n18 dollars", "18"),
    ("#### Total eggs: 9\n#### Total money: 9 * 2 = 18", "18"),
    ("#### Let's solve: 16 - 7 = 9. 9 * 2 = 18.", "18"), ("\\boxed{16-7=9}\n\\boxed{9*2=18}", "18"),
    ("Each gets 20 / 4 = 5 of the 20 sweets.", "5"),
    ("18 dollars per day.\n\n16 eggs a day, 3 eaten, 4 baked, 9 sold at $2.", "18"),
    ("$18\\text{,}000$", "18000"), ("\\boxed{18~\\text{dollars}}", "18"),
    ("\\[9\\times\\$2=\\$18\\]", "18"), ("\\therefore18", "18"),
    ("\\boxed{0.5\\overline{3}}", None), ("The answer is one half.", None),
    ("The answer is ninety-nine point five.", None), ("The answer is two and a half.", None),
    ("The answer is twenty-one, from 3 times 7.", "21"),
    ("The answer is thirty-two thousand five hundred.", "32500"), ("He has seven apples.", "7"),
    ("She needs 18 more stickers to reach her goal of 72.", "18"),
    ('{"answer": "18", "confidence": 0.9}', "18"), ("Final answer: 18 (since 9 * 2 = 18)", "18"),
    ("I got 18. Let me double-check: 16 - 3 - 4 = 9; 9 * 2 = 18. Yes.", "18"),
    ("The total is 15.36 minutes, so 768 / 50 = 15.36, which rounds down to 15.", "15"),
    ("So 20 = A.", "20"), ("This confirms that 80 is the answer, since 40 + 80 = 120.", "80"),
    ("7 notebooks cost 7 x 4 = 28 dollars.\nHe has 56 - 42 = 14 left.", "14"),
]  # fmt: skip


MORE_THAN_A_NUMBER = [
    # What says more of a result is not the result.
    ("18 ± 2", "18"), ("It is 18 +/- 2 cm", "18"), ("$18 \\pm 2$", "18"),
    ("\\boxed{18 \\pm 2}", "18"), ("5 - 3 = 2:00 pm", "2"), ("Week 3:210 pages", "210"),
    ("18 of the 20 are red", "18"), ("He got 18 of 20 right.", "18"), ("18 remain of 20", "18"),
    ("She has 18 left of the 20 she had.", "18"), ("18 eggs from 3 hens", "18"),
    ("18 dollars for the 3 of them", "18"), ("18 for each of the 4 children", "18"),
    ("Each of the 4 children gets 18 sweets from the 72.", "18"), ("18, not 20", "18"),
    ("18 and not 20.", "18"), ("It's 18 instead of 20.", "18"), ("Not 20 but 18.", "18"),
    ("18, which is 2 less than 20.", "18"), ("It is 18, which is double 9.", "18"),
    ("18, i.e. twice 9", "18"), ("18 left after giving 2 away", "18"),
    ("She has 18 after giving away 2.", "18"), ("18, including the 2 broken ones.", "18"),
    ("The total is 18 because there are 9 eggs at 2 dollars.", "18"),
    ("The total comes to 18, as she sells 9 eggs for 2 each.", "18"),
    ("So she makes 18 since she sells 9 at 2.", "18"), ("18 — 9 eggs at 2 dollars.", "18"),
    ("18; 9 times 2.", "18"),
    ("So Janet makes 18 dollars every day selling her 9 eggs for 2 dollars each.", "18"),
    # But a result behind all that is.
    ("He had 20 because of 2 gifts, so he has 22.", "22"), ("Of the 20, 18 are red.", "18"),
    ("After giving 2 away she has 18.", "18"), ("20 less the 2 from him leaves 18.", "18"),
    ("She sells 9 eggs for 2 dollars each, for a total of 18.", "18"),
    ("With 20 eggs, not counting 2, she makes 18.", "18"), ("A box of 20 costs 18", "18"),
    ("The total of 9 is 18 because 9 x 2 = 18", "18"),
    # A sum comes to its value, on whichever side it stands.
    ("7 apples = 3 + 4", "7"), ("7 = 3 + 4 apples", "7"), ("7 apples, that is 3 + 4", "7"),
    ("She has 7 apples (3 + 4).", "7"), ("The answer is 3 + 15.", "18"), ("#### 9 * 2", "18"),
    ("\\boxed{9 \\times 2}", "18"), ("So she needs 2 + 3 * 4", "14"), ("16 + 2 = 18", "18"),
    # Two numbers that are one.
    ("18 dollars and 50 cents", "18.5"), ("It costs 18 dollars and 5 cents.", "18.05"),
    ("18,5", "18.5"), ("Das macht 18,50 €", "18.5"), ("The ratio is 3:4", None),
    ("The ratio is 3:4, so there are 12.", "12"), ("It ends at 7:30", None),
]  # fmt: skip


SEVERAL_NUMBERS = [
    # A power comes to its value; the exponent of a unit or a variable is no number.
    ("2^4", "16"), ("The answer is 2^4.", "16"), ("$2^{4}$", "16"), ("\\boxed{2^4}", "16"),
    ("2**4", "16"), ("2⁴", "16"), ("2 ^ 4", "16"), ("#### 2^4", "16"), ("10^6", "1000000"),
    ("10⁻³", "0.001"), ("3 × 10⁴", "30000"), ("$3 \\times 10^{4}$", "30000"), ("-2^4", "-16"),
    ("2^3 * 2", "16"), ("1.5^2", "2.25"), ("5 squared", "25"), ("2 to the power of 4", "16"),
    ("2 raised to the 4th power", "16"), ("2^4 = 16, so she has 16", "16"),
    ("13^2 = 169, so 13", "13"), ("5^2 + 12^2 = 169", "169"), ("(1+2)^2", None), ("x^2", None),
    ("2^2^3", None), ("2^99999", None), ("1/2^3", None), ("two squared", None), ("4^0.5", None),
    ("18 m^2", "18"), ("18 m²", "18"), ("18 m<sup>2</sup>", "18"), ("9.8 m/s²", "9.8"),
    ("18<sup>2</sup>", "18"), ("10<sup>2</sup>", "100"), ("9.8 m s^-2", "9.8"),
    ("\\boxed{18\\text{ m}^2}", "18"), ("18 square meters (m^2)", "18"),
    ("9" * 9_000 + "^2", None),
    # An amount in two units of one kind counts in the first.
    ("18 hours 30 minutes", "18.5"), ("The answer is 18 hours and 30 minutes.", "18.5"),
    ("2h30m", "2.5"), ("2 h 30 min", "2.5"), ("2 hrs. 30 mins.", "2.5"), ("5'6\"", "5.5"),
    ("5 ft. 6 in.", "5.5"), ("1 year and 6 months", "1.5"), ("2 weeks and 3 days", "17/7"),
    ("1 day, 2 hours and 30 minutes", "53/48"), ("3 lbs 8 oz", "3.5"), ("1 kg 500 g", "1.5"),
    ("\\boxed{18\\text{ hours }30\\text{ minutes}}", "18.5"), ("£18 50p", "18.5"),
    ("18 euros and 50 cents", "18.5"), ("18 dollars 50", "18.5"), ("$18 and 50 cents", "18.5"),
    ("1110 minutes, or 18 hours 30 minutes", "1110"), ("2 million 300 thousand", "2300000"),
    ("90 minutes, which is 1 hour and 30 minutes", "90"), ("5 and a half", "5.5"),
    ("He works 5 days, 8 hours each.", "8"), ("1 foot 18 inches", "18"), ("2 thirds", "2/3"),
    ("3 people ate 2 pounds and 3 cups", "3"), ("He ran 2 hours and 30 minutes a day", "2.5"),
    ("$1.8M", "1800000"), ("1.8k", "1800"),
    # Dates and times.
    ("12/25/2020", None), ("2020-12-25", None), ("25.12.2020", None), ("1:30:00", None),
    ("May 3rd, 2021", None), ("18 on 5/1/2024", "18"), ("At 18:00", "18"),
    ("She earns 18 dollars.\nDate: 2024-05-01", "18"),
    # Notes behind a result.
    ("Result: 18\nTime: 3 s", "18"), ("**Result:** 18\n**Time:** 3 s", "18"),
    ("Total: 18\nTime: 3 s", "18"), ("- Result: 18\n- Steps: 4", "18"),
    ("| Result | 18 |\n| Time | 3 s |", "18"), ('{"result": 18, "time": 3}', "18"),
    ("result: 18; steps: 4", "18"), ("Result: 18 eggs\nTime taken: 3 seconds", "18"),
    ("She has 18.\nConfidence: 95%", "18"), ("She has 18. (Confidence: 0.9)", "18"),
    ("She has 18.\nPage 3 of 5", "18"), ("She has 18.\nTokens used: 350", "18"),
    ("Distance: 60 miles\nSpeed: 20 mph\nTime: 3 hours", "3"), ("Confidence: 95%", "95"),
    ("Total: 16\nEaten: 7\nLeft: 9", "9"), ("Result: 9\nThen 9 * 2 = 18", "18"),
    # Bounds of a result.
    ("between 17 and 19, so 18", "18"), ("The answer is between 17 and 19, so 18.", "18"),
    ("18 is between 17 and 19", "18"), ("18, in the range 17 to 19", "18"),
    ("about 18, range 17-19", "18"), ("17 < 18 < 19", "18"), ("18 ≥ 17", "18"),
    ("It rose from 9 to 18", "18"), ("18, up from 9", "18"), ("18 versus 20", "18"),
    ("18 rounded to 2 decimal places", "18"), ("18, rounded from 17.6", "18"),
    # A sum in words behind a result.
    ("18: 9 times 2", "18"), ("**18:** 9 times 2", "18"), ("18 dollars: 9 times 2", "18"),
    ("She makes $18: 9 eggs at $2 each", "18"), ("18 - 9 times 2", "18"), ("18 = 9 times 2", "18"),
    ("18, 9 times 2", "18"), ("18. 9 times 2.", "18"), ("18 <- 9 times 2", "18"),
    ("18, the product of 9 and 2", "18"), ("18 is 20% of 90", "18"), ("18, or 20% of 90", "18"),
    ("I get 18, using 9 and 2.", "18"), ("20% of 90 is 18", "18"), ("9 times 2: 18", "18"),
    ("Day 1: 9\nDay 2: 18", "18"), ("2020: 9\n2021: 18", "18"), ("9 eggs at $2 each: $18", "18"),
    ("Together they have 9 times 2.", "18"), ("He buys 5 plus 3 more.", "8"),
]  # fmt: skip


LEFT_OPEN_OR_REVISED = [
    ("17 to 19", None), ("17-19", None), ("Either 17 or 19", None),
    ("The answer is 17 or 19.", None),
    ("It takes 3 to 5 days.", None), ("The answer is between 17 and 19.", None),
    ("It grew from 12 to 18.", "18"), ("18 or 18.00", "18"), ("The chance is 0.5 or 50%.", "50"),
    ("It is 10% or 20%.", None),
    ("The difference between 17 and 19 is 2.", "2"), ("The answer is not 17.", None),
    ("The answer isn't 17, it's 18.", "18"), ("4 remainder 2", None), ("4 R 2", None),
    ("The answer is 17. Wait, no. It's 18.", "18"), ("Answer: 17\n\nCorrection: 18", "18"),
    ("17? No, 18.", "18"), ("The answer is 17. Actually, that's after 2 refunds.", "17"),
    ("The answer is 18. No, really.", "18"), ("答案是18。", "18"), ("정답은 18입니다.", "18"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), LEFT_OPEN_OR_REVISED)
def test_what_a_text_leaves_open_is_no_answer_and_what_it_revises_is(text, value):
    assert read_number(text).value == value


@pytest.mark.parametrize(("text", "value"), SEVERAL_NUMBERS)
def test_several_numbers_are_read_as_what_they_say_together(text, value):
    assert read_number(text).value == value


@pytest.mark.parametrize(("text", "value"), MORE_THAN_A_NUMBER)
def test_a_number_that_says_more_of_a_result_is_not_the_result(text, value):
    assert read_number(text).value == value


@pytest.mark.parametrize(("text", "value"), CHATS)
def test_what_chat_models_write_is_read_as_a_person_reads_it(text, value):
    reading = read_number(text)
    assert reading.value == value
    assert (reading.reason == "") == (value is not None)


STRICT = [
    ("#### 18", "18"), ("3 + 4 = 7. #### 7", "7"), ("so\n#### 1,234\n", "1234"), ("####18", "18"),
    ("#### -5", "-5"), ("#### 2.50", "2.5"), ("18", None), ("#### $18", None), ("#### 18.", None),
    ("#### 18 apples", None), ("#### 18\nThat is all", None), ("#### 1 000", None),
    ("#### eighteen", None), ("#### 18%", None), ("#### 1e3", None), ("#### 1,2345", None),
    ("#### " + "9" * 50, None), ("", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), STRICT)
def test_strict_reading(text, value):
    assert read_strict(text).value == value


STRICT_ENDS = [
    ("#### 18\n\nQuestion: Tom has 3.\n#### 7", "18"), ("#### 18\nQ: Tom has 3.\nA: 7", "18"),
    ("#### 18\n\nProblem: Tom has 3.", "18"), ("#### 18<|im_end|>", "18"), ("#### 18</s>", "18"),
    ("<think>\n#### 7\n</think>\n#### 18", "18"), ("<think>\n#### 18", None),
    ("<think>\n#### 18\n</think>", None), ("Problem: Tom has 3.\n#### 18", "18"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), STRICT_ENDS)
def test_the_strict_reading_ends_where_the_answer_does(text, value):
    assert read_strict(text).value == value


def test_a_score_tells_strict_from_flexible():
    scorer = make_scorer("number", {}, Path("none"))
    assert scorer.score("#### 7", item("7")).strict
    score = scorer.score("It is 7", item("7"))
    assert (score.strict, score.flexible, score.extracted, score.reason) == (False, True, "7", "")
    wrong = scorer.score("#### 8", item("7"))
    assert (wrong.strict, wrong.flexible, wrong.extracted) == (False, False, "8")
    silent = scorer.score("I cannot tell", item("7"))
    assert (silent.extracted, silent.reason) == (None, "no number")
    scorer.close()


def test_comparison_is_exact():
    scorer = make_scorer("number", {}, Path("none"))
    assert not scorer.score("0.1000000000000000001", item("0.1")).flexible
    assert not scorer.score("10000000000000000001", item("10000000000000000000")).flexible
    assert scorer.score("#### 1,000.00", item("1000")).strict
    assert scorer.score("2/6", item("1/3")).flexible


@pytest.mark.parametrize("gold", ["", "seven", "1 and 2", "1e999999"])
def test_a_gold_that_is_no_number_is_an_error(gold):
    with pytest.raises(ValueError, match="not a number"):
        make_scorer("number", {}, Path("none")).score("7", item(gold))


def test_equal_answers():
    assert answers_equal("number", "3 + 4 = 7. #### 7", "7.0")
    assert answers_equal("number", "1,000", "#### 1000")
    assert not answers_equal("number", "7", "8")
    assert not answers_equal("number", "none", "none")
    with pytest.raises(ValueError, match="no scorer of kind"):
        answers_equal("numbers", "7", "7")


def test_unknown_kinds_and_options_are_refused():
    with pytest.raises(ValueError, match="no scorer of kind 'numbr'"):
        make_scorer("numbr", {}, Path("none"))
    with pytest.raises(ValueError, match="timeout"):
        make_scorer("number", {"timeout": 1}, Path("none"))


HOSTILE = [
    *("9" * 100_000, "9 " * 50_000, "1,111," * 15_000, "1 000" * 20_000, "1/" * 50_000),
    *("answer " * 15_000, "answer is " * 10_000, "(" * 100_000, "()" * 50_000, "####" * 25_000),
    *("[1" * 30_000, "[1," * 30_000, "9e" * 50_000, "<<" * 50_000, "<<1>" * 25_000),
    *("$" * 100_000, "-" * 100_000, "1'" * 50_000, " " * 100_000, "\n" * 100_000),
    *("\x00" * 100_000, "\\boxed{" * 15_000, "\\frac{1}{" * 10_000, "1." * 50_000),
    "Question:\n1\n" * 10000, "</think>" * 12000, "<think>" * 12000, "is the answer " * 8000,
    "one hundred and " * 7000, "= 1 " * 25000, "1 = " * 25000, "**" * 50000, "**1** " * 15000,
    "<answer>" * 12000, "\\boxed{1}" * 12000, "\\boxed{{" * 12000, "{" * 100000, "\\" * 100000,
    "#### 1. a\n" * 10000, "#### a\n" * 15000, "answer: a 1\n" * 9000, "answer is a 1 = 2. " * 6000,
    "<|" * 50000, "<|a|>" * 20000, "1 a " * 25000, "1 a * " * 17000, "$" * 50000 + "1",
    "Answer: " + "$ " * 50000, "(1" * 50000, "1)" * 50000, "more 1 to have " * 7000,
    "1, which rounds to " * 6000, "\ue000" * 100000, "\n\n" * 50000 + "1", "answer\n" * 15000,
    "twenty-" * 15000, "1.234." * 17000, "Q: 1\n\n" * 15000, "a" * 100000, " " * 99999 + "1",
    "1" + " " * 99999, "<s>" * 30000, "[INST]" * 15000, "\\frac" * 20000, "\\frac1" * 17000,
    "\\text{" * 17000, "minus $" * 14000, "= 1 or " * 14000, "I" * 50000 + "=" * 50000,
    "2^" * 50_000, "2**" * 30_000, "(2)^2 " * 15_000, "1 hour 1 minute " * 6_000,
    "1 hour " * 14_000,
    "1 million 1 " * 8_000, "May 1 " * 16_000, "12:00:00 " * 11_000, "Result: 1\n" * 10_000,
    "Result: 1\nTime: " * 6_000, "Time: 3\n" * 12_000, "(" * 50_000 + "confidence: 5",
    "1 < " * 25_000, "1 is between " * 8_000, "1: 9 times " * 9_000, "1 a b: 9 " * 11_000,
    "²" * 100_000, "1^{1}" * 20_000, "<sup>1</sup>" * 8_000, "5'6\"" * 25_000, "2h30m" * 20_000,
    "1 and a " * 12_000, "1, 1 min, " * 9_000, "2^" + "9" * 9_000, "Result: 1" + " |*_-" * 20_000,
    *("١" * 100_000, "\ud800" * 1_000, "1\n" * 50_000, "minus " * 15_000, "1 x 10^" * 14_000),
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(text[:8]) for text in HOSTILE])
def test_hostile_texts_take_no_time(text):
    start = time.process_time()
    read_number(text)
    read_strict(text)
    assert time.process_time() - start < 2


@given(st.text(alphabet=st.characters(), max_size=300))
@settings(max_examples=150)
def test_any_text_is_scored(text):
    score = make_scorer("number", {}, Path("none")).score(text, item("7"))
    assert score.strict <= score.flexible
    assert (score.extracted is None) == bool(score.reason)


@given(st.text(alphabet="0123456789.,-+/$%[]()#= \n\\eExk−'_", max_size=60))
@settings(max_examples=300)
def test_any_arrangement_of_number_signs_is_read(text):
    reading = read_number(text)
    if reading.value is not None:
        # What was read is canonical: reading it again gives the same.
        assert read_number(reading.value).value == reading.value
    strict = read_strict(text)
    if strict.value is not None:
        assert strict.value == reading.value


@given(
    st.integers(-(10**12), 10**12),
    st.sampled_from(["{}", "#### {}", "The answer is {}.", "so x = {}", "${}", "{} [2]", "**{}**"]),
    st.booleans(),
)
@settings(max_examples=200)
def test_a_whole_number_is_found_in_every_frame(number, frame, commas):
    text = frame.format(f"{number:,}" if commas else number)
    assert read_number(text).value == str(number)


@given(st.decimals(-1000, 1000, places=3, allow_nan=False))
def test_a_decimal_keeps_its_value(number):
    assert Fraction(read_number(f"#### {number}").value) == Fraction(number)
    assert parse_number(str(number)) == Fraction(number)


def test_every_gsm8k_gold_scores_right_against_itself():
    folder = os.environ.get("SEEDBED_TEST_DATA")
    if not folder:
        pytest.skip("SEEDBED_TEST_DATA names no folder with the real data")
    import polars as pl

    frame = pl.read_parquet(Path(folder) / "openai/gsm8k/main/test.parquet")
    scorer = make_scorer("number", {}, Path("none"))
    assert frame.height == 1319
    for answer in frame["answer"]:
        gold = answer.split("####")[1].strip()
        for text in (answer, gold, f"The answer is ${gold}."):
            score = scorer.score(text, item(gold))
            assert score.flexible, (text, score)
        assert scorer.score(answer, item(gold)).strict


FRAMES = [
    "{body}", "{plain}\nThe answer is {gold}.", "{plain}\n\n\\boxed{{{gold}}}",
    "{plain}\n\nThe final answer is: $\\boxed{{{gold}\\text{{ units}}}}$.",
    "{plain}\n\n**Final Answer:** **{gold}**", "The answer is {gold}. Here is why:\n{plain}",
    "<think>\n{plain}\nOr #### 7?\n</think>\n\n{gold}",
    "<reasoning>{plain}</reasoning>\n<answer>{gold}</answer>",
    "Answer: {plain}\nThe answer is {gold}.", "Problem: Tom has 3 apples.\nSolution: {body}",
    "{body}\n\nQuestion: Tom has 3 apples and gets 4. How many?\n3 + 4 = 7\n#### 7",
    "{plain}\nThe answer is {gold}.\n\nQ: Tom has 3 apples.\nA: The answer is 7.",
    "{body}\n\nHuman: Now add 7.\n\nAssistant: #### 7",
    "{body}<|im_end|>\n<|im_start|>user\nAdd 3 and 4.<|im_end|>",
    "{plain}\nResult: {gold}\nTime: 3 s", "{plain}\nThe answer is {gold} m^2.\nConfidence: 95%",
    "{gold}: {plain}\n#### {gold}",
    "#### Step 1: work\n{plain}\n\n#### Step 2: answer\n\\boxed{{{gold}}}",
]  # fmt: skip


def gsm8k() -> list[tuple[str, str]]:
    """Return the solutions of both splits with their golds."""
    folder = os.environ.get("SEEDBED_TEST_DATA")
    if not folder:
        pytest.skip("SEEDBED_TEST_DATA names no folder with the real data")
    import polars as pl

    files = [Path(folder) / f"openai/gsm8k/main/{split}.parquet" for split in ("train", "test")]
    answers = pl.concat([pl.read_parquet(file) for file in files])["answer"].to_list()
    assert len(answers) == 7473 + 1319
    return [(answer, answer.split("####")[1].strip()) for answer in answers]


def right(text: str, gold: str) -> bool:
    value = read_number(text).value
    return value is not None and Fraction(value) == parse_number(gold)


@pytest.mark.parametrize("frame", FRAMES)
def test_real_solutions_are_right_in_every_frame(frame):
    for answer, gold in gsm8k() if frame == "{body}" else gsm8k()[::25]:
        plain = re.sub(r"<<[^>]*>>", "", answer.split("####")[0].strip())
        text = frame.format(body=answer, plain=plain, gold=gold)
        assert right(text, gold), text


@pytest.mark.slow
def test_real_solutions_without_the_end_that_was_asked_for_are_mostly_right():
    solutions = [(answer.split("####")[0].strip(), gold) for answer, gold in gsm8k()[::5]]
    # The rest states its result before its last number, or in another unit.
    assert sum(right(text, gold) for text, gold in solutions) >= 0.991 * len(solutions)
    behind = [(f"{gold}\n\nExplanation: {text}", gold) for text, gold in solutions]
    assert sum(right(text, gold) for text, gold in behind) >= 0.995 * len(behind)
