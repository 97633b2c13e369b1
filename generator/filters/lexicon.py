"""Which words are words: those of the embedded grammars, a list of our own, and what regular endings make of them.

The list holds the plain English and the vocabulary of radiology and pathology that reports are made of. It is no
dictionary: a job of another kind of text adds its own words (`filters: nonwords: options.words` and `lexicon`).
"""

from __future__ import annotations

from functools import lru_cache

from medim_forge.generator.filters.text import words
from medim_forge.generator.phantoms import GRAMMARS, sentences

SHORT = 3  # letters; shorter strings are units, initials and abbreviations

_ENGLISH = """
a about above absence absent absorb accident according across act active addition additional adequate adjacent
admission admit after again against age ago all almost alone along already also alter although am among amount an and
another any apart apparent appear appearance appreciate approach appropriate approximately are area around arrange
arrow arrowhead as aspect assess associate asterisk at available avoid away back background band bar base be because
become bedside before begin behind being below beneath benign best better between beyond big bind black blue border
both bottom branch break breath bright brought brown build built but by calculate call came can cannot careful case
cause cell center central centre certain change characteristic check chest child children choose circumscribed city
clean clear clearly clinic clinical close cluster coexist collect collection color combine common community compare
comparison compatible complete complex comprise concern condense condition confirm confluent consider consist
consistent consult consultation contain content context continue contour contrast control convincing cord correct
correlate cough could count course cover current cut dark date day deep define definite deform degrade degree delicate
demonstrate dense depict describe detail detect deteriorate determine develop deviate deviation diagnose diagnoses
diagnosis diameter differ difference different difficult diffuse direct discharge disease display distance distant
distinct distort distribute distribution do doctor does dome done down drug dry due during each earlier early easy
edge effect eight either elevate eleven else elsewhere emerge emergency emitted end enlarge enough enter entire equal
especially essential establish estimate etiology evaluate even every evidence evident exam examination examine example
exclude exhibit exist expand expansion expect explain extend extensive extent external extra extreme face fact factor
faint fair fall family far fast feature felt female fever few fewer field figure fill film final find finding fine
firm first five fix flat flow focal focus follow for form formation forward four free from front full function further
general give given glass gone good grade grain great greater green grew grey group grow grown growth guide had half
hand hard has have he head heal health heavy height held help hence her here heterogeneous high highlight him his
history hold hole homogeneous horizontal hospital hour how however ideal identify if illustrate image immediate impair
important improve in inch include incomplete increase independent indicate individual infer initial injure injury
inner insert inside intact intense interest internal interpret interval intervene into involve irregular is isolated
it its itself joint keep kept kind know known label lack laid lain large larger last late lately later layer lead leak
learn least leave left length less lesser level lie light like likely limit line linear list listen little load local
locate location long look loose lose loss lost low lower machine made magnify main maintain major make male man manage
manifest many map margin mark marked marking match material matter maximum may mean measure medical medicine medium
member men mention method mid middle might mild minimal minimum minor minute miss mix mixed mobile moderate modest
month more morning most move much multiple must name narrow nature near nearby nearly necessary need negative new next
night nine no none nor normal not notable note nothing notice now number numerous nurse object oblique obscure observe
obtain obvious occasional occupation occupy occur of off often old on once one only onto open operate opposite or
order organ organize original other otherwise our out outer outline outside over overall overlap overlie own pack page
pain pair pale part partial particular pass past patch patient pattern pending people per perform perhaps period
permit persist person physical physician pick picture piece pink place plain plan plane play plump point poor position
positive possess possible possibly posterior precise predominant prepare prescribe presence present preserve press
pressure prevent previous primary prior probable probably procedure process produce progress progression project
projection prominent prone proper proportion prove provide pure purple push quality quantity question quick quite
raise random range rare rate rather ray reach reaction read real receive recent recommend recommendation record
recover recur red reduce refer reference reflect regard region regress regular relate relation relative reliable
remain remarkable remove repeat replace report represent require resemble residual resolve respect respond response
rest result reveal review rich right ring rise role room rotate round routine row rule run safe same sample saw scale
scan scatter score screen second section see seem seen select self separate series serve set setting seven several
severe shadow shape sharp sheet short shortness should show shrink side sign significance significant similar simple
since single sit site six size skill skin slight slightly slow small smaller smoke smoker smooth so soft solid some
something source space spare sparse speak special specific specimen split spot spread square stable stage stain stand
standard start state station status stay step still straight strain strand strength stretch strict strip strong
structure study subject subtle such suggest suggestion suit sum superimpose support sure surface surround suspect
suspicious symmetric system take taken tall technical ten tend than that the their them themselves then therapy there
therefore these they thick thickness thin third this those though three through throughout thus tightly tilt time tiny
tip tissue to today together tongue too top total touch toward trace track transition translate trauma treat trend
triangular true turn twelve twice two type typical unable unchanged under undergo underlie undertake underwent undo
unit unlikely until up update upon upper upright us use usual vague value variable variation variety various vary
verify vertical very via view visible visit visualize volume volunteer wall warrant was way we weak wear week weight
well went were what when where whereas whether which while white who whole whose wide width will with within without
woman women word work worse worsen worst would wrap written wrong year yellow yesterday yet you young zone
"""
_MEDICAL = """
abdomen abnormal abnormality abscess acinar acini acute adenocarcinoma adenoma adenopathy adipose aerated aeration air
airspace airway alveolar alveoli anaplastic anatomic anemia aneurysm angle anterior anteroposterior antibiotic
antiretroviral aorta aortic apex apical apices apoptotic appendage arch architecture arrest arrhythmia arterial artery
arthritis artifact aspirate aspiration asthma asymmetric atelectasis atelectatic atheroma atrial atrium atypia
atypical auscultation axial axilla axillary azygos bacteria basal base basophilic bibasilar bicarinal bilateral biopsy
bladder blast blood blunt blunting bone bony bowel brachiocephalic breast bronchi bronchial bronchiectasis bronchogram
bronchopulmonary bronchovascular bronchus bulge bulla bullous bypass calcific calcification calcified calcify cancer
candidiasis capillary capsule carcinoma cardiac cardiomediastinal cardiomegaly cardiopulmonary cardiothoracic
cardiovascular carina cartilage catheter caudal cava cavitary cavitate cavitation cavity cavoatrial cell cellular
cellularity central cephalad cephalization cervical chamber chromatin chronic cirrhosis clavicle clavicular clip clot
coarse coarsen collagen collapse colon columnar congestion congestive consolidate consolidation consolidative convex
coronal coronary cortex cortical costal costophrenic covid crackle cranial crypt cuboidal cyanosis cyst cystic
cytologic cytology cytoplasm cytoplasmic degeneration degenerative demarcate dermal desmoplastic device
dextroscoliosis diabetes dialysis diaphragm diaphragmatic differentiate differentiation dilatation dilate dilated disc
discrete dislocation distal distend distension dobhoff dorsal drain drainage dual duct ductal ductular dysplasia
dysplastic dyspnea ectasia ectatic edema edematous effusion electrode elongate embolic embolism embolus emphysema
emphysematous empyema endobronchial endothelial endothelium endotracheal enteric eosin eosinophil eosinophilic
epicardial epidermis epithelial epithelioid epithelium erosion esophageal esophagus eventration extubate extubation
exudate fascia fat fatty femoral fibrillation fibroadenoma fibroblast fibromuscular fibrosis fibrotic fibrous fissure
fistula fluid follicle follicular foreign fracture frontal fundus fungal fusion gallbladder ganglion ganz gas gastric
gastroesophageal gland glandular glenohumeral glomerular glomeruli goblet granular granulation granulocyte granuloma
granulomatous ground groundglass gut haze hazy heart hematoma hematopoietic hematoxylin hemidiaphragm hemithorax
hemoglobin hemoptysis hemorrhage hemorrhagic hepatic hepatocyte hernia hiatal hila hilar hilum histiocyte histiocytic
histologic histology histopathology humeral humerus hyaline hydropneumothorax hyperchromasia hyperchromatic
hyperexpand hyperinflate hyperinflation hyperplasia hyperplastic hypertension hypertrophy hypoplastic hypoxaemia
hypoxaemic hypoxemia hypoxia icu idiopathic iliac imaging immune immunohistochemical impression incision indistinct
infarct infarction infect infection infectious inferior infiltrate infiltration inflammation inflammatory influenza
infrahilar infusion injection inspiration inspiratory inspire insufficiency intensive intercellular intercostal
interlobular internal interstitial interstitium intraductal intrapulmonary intrathoracic intravascular intubate
intubation invasion invasive ischemia islet jugular keratin keratinize kerley kidney kyphosis kyphotic lamina lateral
lateralize lesion leukemia leukocyte leukocytosis ligament lingula lingular liver lobar lobe lobular lobulate lobule
lucency lucent lumbar lumen lumina luminal lumpectomy lung lungs lymph lymphadenopathy lymphatic lymphocyte
lymphocytic lymphoid lymphoma lymphopenia lymphoplasmacytic macrophage malignancy malignant malposition mass
mastectomy matrix mechanical medial mediastinal mediastinum medulla melanin melanoma membrane mesenchymal mesothelial
metaphase metaplasia metaplastic metastases metastasis metastatic microscopic midclavicular midline midlung mitoses
mitosis mitotic mitral mononuclear morphology mucin mucinous mucosa mucosal mucus multifocal multinodular muscle
muscular mycobacterium myocardial myocardium myofibroblast myxoid nasoenteric nasogastric neck necrosis necrotic
necrotizing needle neoplasm neoplastic nerve neural neuroendocrine neutrophil nipple nodal node nodular nodularity
nodule nondisplaced nuclear nuclei nucleoli nucleolus nucleus obese obliterate obscure obstruct obstruction
obstructive occlusion opacification opacify opacity opaque orogastric oropharyngeal osseous osteopenia osteophyte
osteoporosis ovarian oxygen oxygenation pacemaker palisade pancreas pancreatic papilla papillary paraspinal
paratracheal parenchyma parenchymal parietal patchy pathogen pathologic pathologist pathology peribronchial
pericardial pericardium perihilar peripheral periphery peritoneal perivascular phlegmon plasma plate pleomorphic
pleomorphism pleura pleural pleuropulmonary plexus pneumatocele pneumococcal pneumocystis pneumomediastinum
pneumonectomy pneumonia pneumonic pneumonitis pneumoperitoneum pneumothorax polygonal polymorphous polyp portable
portacath posteroanterior postoperative postsurgical proliferate proliferation prostate prostatic prosthesis
prosthetic proximal pseudostratified pulmonary radiodense radiograph radiographic radiographs radiography radiologic
radiologist radiology radiolucent rectum redistribution renal resect resection respirator respiratory reticular
reticulation reticulonodular retrocardiac retrosternal rib rotated rotation sarcoid sarcoidosis sarcoma saturation
scapula scar scarring sclerosis sclerotic scoliosis secretion secretory segment segmental seizure sepsis septal septic
septum serosa serous sharply shift shoulder silhouette sinus skeletal spiculate spinal spindle spine spleen splenic
squamous staphylococcus stenosis stent sternal sternotomy sternum steroid stomach stratified streptococcus stroke
stroma stromal subclavian subcutaneous subdiaphragmatic submucosa submucosal subpleural subsegmental sulci sulcus
superior supine supraclavicular supradiaphragmatic surgery surgical suture swan symptom syncytial syndrome systemic
tachycardia tachypnea terminate therapeutic thickening thoracentesis thoracic thoracolumbar thoracostomy thoracotomy
thorax thrombosis thrombus thymus thyroid tissue tomography tortuosity tortuous toxic trabecular trachea tracheal
tracheobronchial tracheostomy transplant transthoracic tricuspid tube tubercle tuberculosis tubular tubule tumor
tumour ulcer ulceration ultrasound uncoil unfold unremarkable ureter urothelial uterine uterus vaccine vacuolated
vacuolation vacuole valve valvular vascular vascularity vasculature vein vena venous ventilate ventilation ventricle
ventricular vertebra vertebrae vertebral vesicular vessel villi villous viral virus viscera visceral wedge wheeze xray
"""
_ENDINGS = (
    "", "s", "es", "d", "ed", "ing", "ly", "er", "ers", "al", "ally", "ness", "ment", "ion", "ions", "ity", "able",
    "ive", "ively", "ance", "ence", "ation", "ations", "ant", "ent", "ic", "ous", "y", "or",
)  # fmt: skip
_PREFIXES = (
    "un", "non", "re", "sub", "peri", "para", "pre", "post", "inter", "intra", "infra", "supra", "over", "hyper",
    "hypo", "multi", "micro", "mid", "trans", "extra", "ill", "mis", "dis",
)  # fmt: skip


@lru_cache(maxsize=1)
def lexicon() -> frozenset[str]:
    """All words that are listed, in lower case."""
    grammar = " ".join(text for domain in GRAMMARS for text in sentences(domain))
    return frozenset(words(f"{_ENGLISH} {_MEDICAL} {grammar}"))


def words_of(text: str) -> frozenset[str]:
    """The words of any text as `is_word` looks them up: one by one, in lower case, without apostrophes."""
    return frozenset(_plain(word) for word in words(text))


def is_word(text: str, more: frozenset[str] = frozenset()) -> bool:
    """Whether a string of lower-case letters is a listed word, or one with a regular ending or prefix.

    Args:
        text: letters, with an apostrophe at most.
        more: words beyond the list, of `words_of`.
    """
    plain = _plain(text)
    if len(plain) <= SHORT or _listed(plain, more):
        return True
    return any(
        len(rest := plain.removeprefix(prefix)) > SHORT and rest != plain and _listed(rest, more)
        for prefix in _PREFIXES
    )


def _plain(text: str) -> str:
    return text.removesuffix("'s").replace("'", "")


def _listed(text: str, more: frozenset[str]) -> bool:
    return any(
        stem in lexicon() or stem in more
        for ending in _ENDINGS
        if text.endswith(ending)
        for stem in _stems(text, ending)
    )


def _stems(text: str, ending: str) -> tuple[str, ...]:
    """What `text` may be made of: the stem, with a dropped e, a doubled letter undone, or y for i."""
    stem = text[: len(text) - len(ending)]
    if not ending or len(stem) < SHORT:
        return (text,) if not ending else ()
    undone = (stem[:-1],) if stem[-1] == stem[-2] else ()
    return (stem, stem + "e", *undone, *((stem[:-1] + "y",) if stem.endswith("i") else ()))
